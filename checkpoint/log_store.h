// Where the driver log's slots are kept: what an object store can serve, and no more.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// Thread-safe. Knows nothing of what a slot holds.
//
// Errors of every method: damaged (errors.h) when the store can tell that what it had synced is
// gone; start again when a write or sync failed that cannot be tried again here; resource
// exhausted when the disk is full; unavailable otherwise. After an error of PutIfAbsent it is
// unknown whether the bytes are there: put the same bytes again and look.
class LogStore {
 public:
  // An error returned by it ends the reading and is returned.
  using Visitor = std::function<absl::Status(uint64_t slot, std::string_view bytes)>;

  virtual ~LogStore() = default;

  // Visits the slots that exist at or above `from`, in order. Checks no gap.
  virtual absl::Status ReadAll(uint64_t from, const Visitor& visitor) = 0;

  // Durable when it returns OK, and then DurableLength is at least `slot` (after a kill: at least
  // the one before it). Already exists when the slot holds anything; if it holds these very bytes,
  // DurableLength covers it in the same way.
  virtual absl::Status PutIfAbsent(uint64_t slot, std::string_view bytes) = 0;

  // Not found when the slot was never put or is deleted.
  virtual absl::StatusOr<std::string> Get(uint64_t slot) = 0;

  // Deletes all slots up to and with `slot`, oldest first.
  virtual absl::Status DeleteUpTo(uint64_t slot) = 0;

  // Deletes one slot if it holds exactly `bytes` (a torn tail); else does nothing.
  virtual absl::Status CutTail(uint64_t slot, std::string_view bytes) = 0;

  // The witness, kept apart from the slots: the highest slot whose put has returned, 0 before the
  // first. Nothing when no put was ever begun.
  virtual absl::StatusOr<std::optional<uint64_t>> DurableLength() = 0;

  // For messages: "rocksdb:/dir/log".
  virtual std::string Where() const = 0;
};

}  // namespace sluice
