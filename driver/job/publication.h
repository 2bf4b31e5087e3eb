// Makes decided output visible: idempotent, so that it can be done again after any crash.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "driver/job/commands.h"

namespace sluice {

// Moves the staged directory to its target, whole or not at all, and syncs it. Staged gone and
// target there: it was published before. AlreadyExists: the target is another job's and
// `overwrite` is off; with it that goes, at once with the appearance of the new one where the file
// system can exchange names. `epoch` is that of this job driver: one of a lower epoch that has not
// noticed that it was replaced takes nothing away. DataLoss: neither staged nor target is there.
// Anything else may pass; try again.
absl::Status PublishTextFiles(const proto::StagedOutput& staged, uint64_t epoch, bool overwrite);

// Deletes what is still staged of this output of this job for batches up to `batch_ms`, after
// that one is published: by other generations, or for batches whose plan died with a job driver
// before it was durable. Batches of an output are published in order, so nobody needs it any more.
// And markers of former job drivers (checkpoint/output_marker.h). `prefix` and `suffix` are the
// output's, `epoch` is that of this job driver.
struct StagedOf {
  std::string prefix;
  std::string suffix;
  uint64_t job_instance = 0;
  uint32_t output = 0;
  uint64_t epoch = 0;
};
void SweepStaged(const StagedOf& staged, int64_t batch_ms);

// "-----…\nTime: N ms\n-----…\n", at most `limit` rows, "..." if there are more, an empty line.
std::string FormatPrinted(int64_t batch_ms, const proto::StagedOutput& staged, uint32_t limit);

}  // namespace sluice
