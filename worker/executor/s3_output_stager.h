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
  explicit S3OutputStager(OutputBuckets* buckets) : buckets_(buckets) {}
  absl::Status Stage(const StagedPart& part, const BatchView& records,
                     proto::OutputPart* staged) override;

 private:
  OutputBuckets* const buckets_;
};

// Of an executor: paths and buckets.
class AnyOutputStager : public OutputStager {
 public:
  absl::Status Stage(const StagedPart& part, const BatchView& records,
                     proto::OutputPart* staged) override {
    OutputStager& stager = IsBucketUrl(part.prefix) ? static_cast<OutputStager&>(s3_) : posix_;
    return stager.Stage(part, records, staged);
  }

 private:
  OutputBuckets buckets_;
  S3OutputStager s3_{&buckets_};
  PosixOutputStager posix_;
};

}  // namespace sluice
