// Opens the job's log and brings its state back: the newest manifest that the log agrees with,
// and the log behind it.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "checkpoint/checkpoint_store.h"
#include "checkpoint/driver_log.h"
#include "driver/job/job_driver_core.h"

namespace sluice {

struct OpenedJob {
  std::unique_ptr<DriverLog> log;  // an epoch is open
  RecoveredJob job;
  uint64_t next_manifest = 1;
  uint64_t first_slot = 1;         // oldest that is kept
};

// `known`: the caller knows of a former life, so an empty log is damage. Errors carry exit codes
// (checkpoint/errors.h): held or fenced 7, damaged 8.
absl::StatusOr<OpenedJob> OpenJob(LogStore* log_store, CheckpointStore* checkpoints, bool known,
                                  uint64_t nonce, DriverLog::Now now);

}  // namespace sluice
