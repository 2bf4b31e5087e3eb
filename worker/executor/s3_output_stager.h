// Stages file output in a bucket.
#pragma once

#include <memory>

#include "checkpoint/output_buckets.h"
#include "worker/executor/output_stager.h"

namespace sluice {

// A part of an output of its own is a multipart upload to its final key that lacks the request
// which completes it: whoever publishes sends that, and no bytes. A part that is to be rolled is an
// object under the staged directory of its batch, of a name of its own at every try.
class S3OutputStager : public OutputStager {
 public:
  // `probed`: buckets that are only asked; by default the same.
  explicit S3OutputStager(OutputBuckets* buckets, OutputBuckets* probed = nullptr)
      : buckets_(buckets), probed_(probed != nullptr ? probed : buckets) {}
  absl::Status Stage(const StagedPart& part, const BatchView& records,
                     proto::OutputPart* staged) override;
  absl::Status Probe(const OutputPlace& place, uint32_t executor) override;

 private:
  OutputBuckets* const buckets_;
  OutputBuckets* const probed_;
};

// Of an executor: paths and buckets.
class AnyOutputStager : public OutputStager {
 public:
  absl::Status Stage(const StagedPart& part, const BatchView& records,
                     proto::OutputPart* staged) override {
    return Of(part.prefix).Stage(part, records, staged);
  }
  absl::Status Probe(const OutputPlace& place, uint32_t executor) override {
    return Of(place.prefix).Probe(place, executor);
  }

 private:
  OutputStager& Of(const std::string& prefix) {
    return IsBucketUrl(prefix) ? static_cast<OutputStager&>(s3_) : posix_;
  }

  OutputBuckets buckets_;
  OutputBuckets probed_{OutputBuckets::Briefly()};
  S3OutputStager s3_{&buckets_, &probed_};
  PosixOutputStager posix_;
};

}  // namespace sluice
