#include "driver/job/file_outputs.h"

#include <string>

#include "driver/job/publication.h"
#include "driver/job/rolled_files.h"
#include "driver/job/s3_publication.h"
#include "glog/logging.h"

namespace sluice {
namespace {

constexpr uint64_t kPublishedPerListing = 100;

}  // namespace

PublishDone FileOutputs::Publish(const PublishOutput& publish, const Output& output) {
  PublishDone done{publish.batch_ms, output.id, "", false};
  const absl::Status status = IsBucketUrl(output.prefix)
                                  ? PublishUploads(&buckets_, publish, output.overwrite)
                                  : PublishTextFiles(publish.staged, output.overwrite);
  if (status.ok()) {
    Sweep(output, publish.job_instance, publish.batch_ms);
  } else {
    done.error = std::string(status.message());
    done.fatal = absl::IsAlreadyExists(status) || absl::IsDataLoss(status);
  }
  return done;
}

PublishDone FileOutputs::Roll(const RollOutput& roll, const Output& output) {
  PublishDone done{roll.to_ms, output.id, "", false};
  const absl::Status status = IsBucketUrl(output.prefix)
                                  ? MakeRolledObject(&buckets_, roll, output)
                                  : MakeRolledFile(roll, output, epoch_);
  if (status.ok()) {
    Sweep(output, roll.job_instance, roll.to_ms);
  } else {
    done.error = std::string(status.message());
    done.fatal = absl::IsDataLoss(status);
  }
  return done;
}

// In a bucket that takes listings: not at every batch.
void FileOutputs::Sweep(const Output& output, uint64_t job_instance, int64_t batch_ms) {
  const StagedOf staged{output.prefix, job_instance, output.id};
  if (!IsBucketUrl(output.prefix)) return SweepStaged(staged, batch_ms);
  if (!Rolls(output) && published_[output.id]++ % kPublishedPerListing != 0) return;
  const absl::Status swept = Rolls(output) ? SweepStagedObjects(&buckets_, staged, batch_ms)
                                           : AbortUndecidedUploads(&buckets_, staged, batch_ms);
  LOG_IF(WARNING, !swept.ok()) << "what was staged for " << output.prefix << " stays: " << swept;
}

}  // namespace sluice
