#include "checkpoint/output_buckets.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <vector>

#include "common/status.h"

namespace sluice {
namespace {

// The folder of the marks: "…/.sluice-uploads-NAME[.suffix]/".
std::string MarksOf(const std::string& prefix, const std::string& suffix) {
  const size_t name = prefix.rfind('/') + 1;
  return prefix.substr(0, name) + ".sluice-uploads-" + prefix.substr(name) +
         (suffix.empty() ? "" : "." + suffix) + "/";
}

std::string MarkName(uint64_t job_instance) {
  char name[17];
  std::snprintf(name, sizeof name, "%016" PRIx64, job_instance);
  return name;
}

}  // namespace

OutputBuckets::Connect OutputBuckets::Briefly() {
  return [](const std::string& bucket) {
    S3ClientOptions options;
    options.deadline_ms = 2'000;
    options.try_ms = 5'000;
    return ConnectS3(bucket, options);
  };
}

absl::StatusOr<OutputBuckets::Place> OutputBuckets::Find(const std::string& url) {
  constexpr size_t kScheme = 5;
  const size_t slash = url.find('/', kScheme);
  if (!IsBucketUrl(url) || slash == std::string::npos || slash + 1 == url.size()) {
    return absl::InvalidArgumentError("not s3://bucket/key: " + url);
  }
  const std::string name = url.substr(kScheme, slash - kScheme);
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<S3Bucket>& bucket = buckets_[name];
  if (bucket == nullptr) {
    ASSIGN_OR_RETURN(bucket, connect_(name));
  }
  return Place{bucket, url.substr(slash + 1)};
}

absl::Status OutputBuckets::MarkUploads(const std::string& prefix, const std::string& suffix,
                                        uint64_t job_instance) {
  const std::string name = MarkName(job_instance);
  const std::string mark = MarksOf(prefix, suffix) + name;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (marks_.contains(mark)) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Place place, Find(mark));
  const absl::Status put = place.bucket->PutOnce(place.key, "", name);
  if (absl::IsAlreadyExists(put)) {  // made by this job, as its name says, unless it is gone again
    ASSIGN_OR_RETURN(const bool there, place.bucket->Has(place.key));
    if (!there) return absl::UnavailableError("the mark " + mark + " is away: " + put.ToString());
  } else if (!put.ok()) {
    return put;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  marks_.insert(mark);
  return absl::OkStatus();
}

absl::StatusOr<bool> OutputBuckets::OthersUpload(const std::string& prefix,
                                                 const std::string& suffix,
                                                 uint64_t job_instance) {
  const std::string name = MarkName(job_instance);
  ASSIGN_OR_RETURN(const Place own, Find(MarksOf(prefix, suffix) + name));
  const std::string folder = own.key.substr(0, own.key.size() - name.size());
  ASSIGN_OR_RETURN(const std::vector<S3Object> marks, own.bucket->List(folder));
  return std::any_of(marks.begin(), marks.end(),
                     [&](const S3Object& mark) { return mark.key != own.key; });
}

// The key of a batch before all others.
absl::Status TryBucket(OutputBuckets* buckets, const std::string& prefix,
                       const std::string& suffix) {
  ASSIGN_OR_RETURN(const OutputBuckets::Place place,
                   buckets->Find(prefix + "-0" + (suffix.empty() ? "" : "." + suffix) +
                                 "/part-probe"));
  return place.bucket->TryUpload(place.key);
}

}  // namespace sluice
