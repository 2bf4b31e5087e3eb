// Buckets that output goes to: URLs of objects to connected buckets, for executors and job drivers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "checkpoint/s3_bucket.h"
#include "checkpoint/s3_life.h"

namespace sluice {

// "s3://…", and not a path.
inline bool IsBucketUrl(std::string_view url) { return url.starts_with("s3://"); }

// Thread-safe. Endpoint and keys are those of the process (docs/stores.md).
class OutputBuckets {
 public:
  using Connect =
      std::function<absl::StatusOr<std::shared_ptr<S3Bucket>>(const std::string& bucket)>;
  OutputBuckets() : OutputBuckets([](const std::string& bucket) { return ConnectS3(bucket); }) {}
  explicit OutputBuckets(Connect connect) : connect_(std::move(connect)) {}
  // For those who ask whether a bucket may be written, and do not wait long for one that is away.
  static Connect Briefly();

  struct Place {
    std::shared_ptr<S3Bucket> bucket;
    std::string key;
  };
  // Of "s3://bucket/key".
  absl::StatusOr<Place> Find(const std::string& url);
  // A listing of uploads does not tell whose they are. So whoever is about to open some for an
  // output says before, by an object that stays, which job instance has uploads there.
  absl::Status MarkUploads(const std::string& prefix, const std::string& suffix,
                           uint64_t job_instance);
  // Whether another instance may have: none of its uploads is missed that was open before the call.
  absl::StatusOr<bool> OthersUpload(const std::string& prefix, const std::string& suffix,
                                    uint64_t job_instance);

 private:
  const Connect connect_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<S3Bucket>> buckets_;
  std::set<std::string> marks_;  // that were put
};

// Whether parts of an output may be put: begins an upload and aborts it. One that is left open when
// this process ends is aborted with those of batches that were never decided. Errors as of
// S3Client.
absl::Status TryBucket(OutputBuckets* buckets, const std::string& prefix,
                       const std::string& suffix);

}  // namespace sluice
