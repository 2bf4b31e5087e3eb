// Where a job's executors keep decided state: `state_backend` and `state_memory`.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/config.h"
#include "worker/executor/state_store.h"

namespace sluice {

// With rocksdb each store has a folder of its own in `parent` (worker/executor/state_folders.h),
// which goes with it. One of its own name that a former process of this pid has left is removed.
StateBackend StateBackendOf(const Config& config, const std::string& parent);

// Of local mode: one for each user, where temporary files are.
std::string TemporaryStateFolder();

// Makes the folder, open to its owner only, and removes what processes that are gone have left in
// it. Refused: it is there and is not our own, a link, or open to others.
absl::Status PrepareStateFolder(const std::string& path);

}  // namespace sluice
