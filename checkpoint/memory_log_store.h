// A log store in memory: for local mode and unit tests, and the simulator's disk with its faults.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "checkpoint/log_store.h"

namespace sluice {

// What goes wrong. Counters count down: 2 means the next two puts.
struct LogStoreFaults {
  int fail_puts = 0;     // unavailable, without effect
  int unknown_puts = 0;  // takes effect, answers unavailable
  int silent_witness = 0;  // takes effect, but the witness is not written and the answer is lost
  bool full = false;     // every put: resource exhausted, without effect
  bool forget_unsynced = false;  // puts answer OK but are lost at the next Crash
};

// Shared by all its openers through one pointer.
class MemoryLogStore : public LogStore {
 public:
  absl::Status ReadAll(uint64_t from, const Visitor& visitor) override;
  absl::Status PutIfAbsent(uint64_t slot, std::string_view bytes) override;
  absl::StatusOr<std::string> Get(uint64_t slot) override;
  absl::Status DeleteUpTo(uint64_t slot) override;
  absl::Status CutTail(uint64_t slot, std::string_view bytes) override;
  absl::StatusOr<std::optional<uint64_t>> DurableLength() override;
  std::string Where() const override { return "memory log"; }

  // Replaces the faults that are on.
  void SetFaults(const LogStoreFaults& faults);
  // The machine stops: what was not synced is gone.
  void Crash();
  // Leaves the first `bytes` bytes of `record` in `slot`, as a put cut short by a crash does.
  void Tear(uint64_t slot, std::string_view record, size_t bytes);
  // False when there is no such bit.
  bool FlipBit(uint64_t slot, size_t bit);
  void Lose(uint64_t slot);
  void LoseWitness();

 private:
  struct Medium {
    std::map<uint64_t, std::string> slots;
    std::optional<uint64_t> witness;
  };

  std::mutex mutex_;
  Medium medium_;                 // what a reader sees
  std::optional<Medium> synced_;  // what a crash leaves, where syncs were forgotten; else medium_
  LogStoreFaults faults_;
};

}  // namespace sluice
