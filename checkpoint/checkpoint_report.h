// What a checkpoint store holds, for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/object_store.h"
#include "checkpoint/state_part.h"

namespace sluice {

struct CheckpointReport {
  std::string name;           // of its manifest
  uint64_t sequence = 0;
  int64_t batch_ms = 0;
  uint64_t decided_slot = 0;  // of the driver log
  uint64_t parts = 0;         // objects of state
  uint64_t bytes = 0;         // of the manifest and its parts
  std::string damage;         // names the object; empty: none was found
};

// All checkpoints, oldest first. Reads manifests only: what is missing or damaged there is in
// `damage`. Errors are those of the store.
absl::StatusOr<std::vector<CheckpointReport>> ReportCheckpoints(ObjectStore* objects);

// The same, every part and every received block read from end to end. `damaged_blocks` gets a line
// for each block that is damaged.
absl::StatusOr<std::vector<CheckpointReport>> VerifyCheckpoints(
    ObjectStore* objects, const StatePartCodec* codec, std::vector<std::string>* damaged_blocks);

}  // namespace sluice
