// Where a job's executors keep decided state: `state_backend` and `state_memory`.
#pragma once

#include <string>

#include "common/config.h"
#include "worker/executor/state_store.h"

namespace sluice {

// With rocksdb each store has a folder of its own in `parent`, `state-PID-N`, which goes with it;
// those of processes that are gone are removed when one is made, and one of its own name that a
// former process of this pid has left.
StateBackend StateBackendOf(const Config& config, const std::string& parent);

// Of local mode: one for each user, where temporary files are.
std::string TemporaryStateFolder();

}  // namespace sluice
