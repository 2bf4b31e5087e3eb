#include "checkpoint/output_buckets.h"

#include "common/status.h"

namespace sluice {

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

// The key of a batch before all others.
absl::Status TryBucket(OutputBuckets* buckets, const std::string& prefix,
                       const std::string& suffix) {
  ASSIGN_OR_RETURN(const OutputBuckets::Place place,
                   buckets->Find(prefix + "-0" + (suffix.empty() ? "" : "." + suffix) +
                                 "/part-probe"));
  return place.bucket->TryUpload(place.key);
}

}  // namespace sluice
