// What of a store's checkpoints nobody needs any more.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/checkpoint_store.h"

namespace sluice {

inline constexpr size_t kCheckpointsKept = 3;

struct Collectable {
  // Objects that no checkpoint needs that stays: oldest first, manifests before parts. Parts of
  // batches from the newest manifest's on are never among them: a checkpoint may be in the making.
  std::vector<std::string> names;
  // The oldest manifest that stays, and the slot of its `decided`. Empty and 0 while fewer than
  // kCheckpointsKept are there.
  std::string oldest;
  uint64_t oldest_slot = 0;
};

// Deletes nothing. Reads each manifest once, and remembers of it what is asked here: the bytes
// under a manifest's name never change. Not thread-safe. The store must outlive it.
class CheckpointCollector {
 public:
  explicit CheckpointCollector(CheckpointStore* store) : store_(store) {}

  // What may go when the `keep` newest of the checkpoints that were not set aside stay (at least
  // kCheckpointsKept do). Damaged, and nothing may go, when one that stays cannot be read.
  absl::StatusOr<Collectable> Find(size_t keep = kCheckpointsKept);

 private:
  struct Needs {
    int64_t batch_ms = 0;
    uint64_t decided_slot = 0;
    std::vector<std::string> parts;
  };

  CheckpointStore* const store_;
  std::map<uint64_t, Needs> needs_;  // by sequence, of manifests that stayed
};

}  // namespace sluice
