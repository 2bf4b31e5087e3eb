#include "driver/job/file_outputs.h"

#include <string>

#include "driver/job/publication.h"
#include "driver/job/rolled_files.h"
#include "driver/job/s3_publication.h"
#include "glog/logging.h"

namespace sluice {
namespace {

// Batches that were in flight when a generation ended, and now and then.
constexpr uint64_t kSweptAtFirst = 16;
constexpr uint64_t kPublishedPerSweep = 100;

}  // namespace

PublishDone FileOutputs::Publish(const PublishOutput& publish, const Output& output) {
  PublishDone done{publish.batch_ms, output.id, "", false};
  const bool overwrite = output.overwrite || overwrite_;
  const absl::Status status = IsBucketUrl(output.prefix)
                                  ? PublishUploads(&buckets_, publish, overwrite)
                                  : PublishTextFiles(publish.staged, epoch_, overwrite);
  if (status.ok()) {
    Sweep(output, publish.staged.staged_path(), publish.job_instance, publish.batch_ms);
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
    Sweep(output, roll.staged.empty() ? "" : roll.staged.back().staged_path(), roll.job_instance,
          roll.to_ms);
  } else {
    done.error = std::string(status.message());
    done.fatal = absl::IsDataLoss(status);
  }
  return done;
}

// It lists a directory, which has an entry for each batch that was ever published, so it is not
// done at each of them.
void FileOutputs::Sweep(const Output& output, const std::string& staged, uint64_t job_instance,
                        int64_t batch_ms) {
  Published& published = published_[output.id];
  const std::string maker = staged.substr(staged.rfind('-') + 1);
  if (maker != published.maker) published = {maker, 0};
  const uint64_t count = published.count++;
  const bool bucket = IsBucketUrl(output.prefix);
  const uint64_t at_first = bucket ? 1 : kSweptAtFirst;
  // Parts of rolled files are many, and rolled files few.
  if (!Rolls(output) && count >= at_first && count % kPublishedPerSweep != 0) return;
  const StagedOf left{output.prefix, output.suffix, job_instance, output.id, epoch_};
  if (!bucket) return SweepStaged(left, batch_ms);
  const absl::Status swept = Rolls(output) ? SweepStagedObjects(&buckets_, left, batch_ms)
                                           : AbortUndecidedUploads(&buckets_, left, batch_ms);
  LOG_IF(WARNING, !swept.ok()) << "what was staged for " << output.prefix << " stays: " << swept;
}

}  // namespace sluice
