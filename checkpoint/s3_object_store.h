// Objects of a job in a bucket.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/object_store.h"
#include "checkpoint/s3_bucket.h"
#include "checkpoint/s3_place.h"

namespace sluice {

// Several processes may share the place. Beside the errors of every store: refused (exit 3) and
// PermissionDenied as S3Client::Call has them, and damaged for an object that is not as it was put.
class S3ObjectStore : public ObjectStore {
 public:
  S3ObjectStore(std::shared_ptr<S3Bucket> bucket, S3Place place)
      : bucket_(std::move(bucket)), place_(std::move(place)) {}

  absl::Status PutIfAbsent(const std::string& name, std::string_view bytes) override;
  absl::Status PutFileIfAbsent(const std::string& name, const std::string& path) override;
  absl::StatusOr<std::string> Get(const std::string& name) override;
  absl::StatusOr<std::vector<ObjectInfo>> List(const std::string& prefix) override;
  absl::Status Delete(const std::string& name) override;
  std::string Where() const override { return bucket_->Where() + "/" + place_.prefix; }

 private:
  const std::shared_ptr<S3Bucket> bucket_;
  const S3Place place_;
};

}  // namespace sluice
