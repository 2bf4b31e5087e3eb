// The chain of the driver log: which sequences of slots are a log, and which are damage.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "checkpoint/log_record.h"

namespace sluice {

// Names one record for good: a slot never changes what it holds.
struct LogPosition {
  uint64_t slot = 0;
  uint32_t checksum = 0;
  bool operator==(const LogPosition&) const = default;
};

// Follows the log record by record. Not thread-safe; copyable.
//
// Invariants:
// 1. Slots follow each other without a gap, each naming its predecessor's checksum.
// 2. An `epoch opened` that is not void has an epoch above all before it.
// 3. A record of an epoch lower than one before it is void, but part of the chain.
class LogChain {
 public:
  // `first_slot`: the slot that must be the first one; `where` names the store in messages.
  LogChain(uint64_t first_slot, std::string where);

  enum class Verdict { kLive, kVoid };

  // Checks the next record and takes it in. Damaged, with slot and offset, when it does not fit;
  // the chain is then as before.
  absl::StatusOr<Verdict> Follow(uint64_t slot, const LogRecord& record);

  // Decodes; damaged, naming store and slot, when that fails.
  absl::StatusOr<LogRecord> Decode(uint64_t slot, std::string_view bytes) const;

  // Forgets the checksums below `slot`: they were deleted.
  void ForgetBelow(uint64_t slot);

  uint64_t next_slot() const { return last_.slot + 1; }
  // Slot first_slot - 1 and checksum 0 while nothing was followed.
  const LogPosition& last() const { return last_; }
  bool empty() const { return checksums_.empty(); }
  uint64_t highest_epoch() const { return highest_epoch_; }
  std::optional<uint32_t> ChecksumAt(uint64_t slot) const;

  absl::Status Damaged(uint64_t slot, const std::string& what) const;

 private:
  absl::Status Check(uint64_t slot, const LogRecord& record) const;

  std::string where_;
  LogPosition last_;
  uint64_t highest_epoch_ = 0;
  std::deque<uint32_t> checksums_;  // of the slots up to last_
};

}  // namespace sluice
