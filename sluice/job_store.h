// Where a job keeps its log and its checkpoints, opened: in memory, or where a URL says.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/log_store.h"
#include "checkpoint/object_store.h"
#include "checkpoint/open_store.h"
#include "checkpoint/state_part.h"

namespace sluice {

struct JobStore {
  std::unique_ptr<LogStore> log;
  std::unique_ptr<ObjectStore> objects;
  std::unique_ptr<StatePartCodec> codec;
  std::string url;     // for executors, which open its objects; empty: in memory
  bool known = false;  // a job has lived here before
};

// In memory when `options.url` is empty; else as OpenDriverStore.
absl::StatusOr<JobStore> OpenJobStore(const DriverStoreOptions& options);

// The encoding of state parts in every store but the one in memory.
std::unique_ptr<StatePartCodec> DiskStateParts();

}  // namespace sluice
