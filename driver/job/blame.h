// Which tasks are held to have ended their executor, and how often.
//
// An executor that crashes leaves behind what its slots were at. A lone task is guilty: that is one
// attempt. Of several, one is guilty and nobody knows which: all are suspects, and none is charged.
// Suspects are tried again in an executor of one slot that owns nothing else, where the next crash
// has one task only. So whoever shares an executor with a bad task is never charged for it.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "proto/cluster.pb.h"

namespace sluice {

struct TaskName {
  int64_t batch_ms = 0;
  uint32_t stage = 0;
  uint32_t task = 0;  // map task or partition
  auto operator<=>(const TaskName&) const = default;
};

// Not thread-safe. Of one epoch.
class Blame {
 public:
  explicit Blame(uint32_t failures_max) : failures_max_(failures_max) {}

  // A worker daemon's word about an executor that has ended; said again, it counts once. Gives
  // the task that has no further attempt.
  std::optional<TaskName> OnExited(const proto::ExecutorExited& exited);
  // The batches up to this one have run to their end, or one was skipped: nothing is held against
  // their tasks any more.
  void Forget(int64_t up_to_batch_ms);

  // To be tried alone.
  const std::set<TaskName>& suspects() const { return suspects_; }
  uint32_t FailuresOf(const TaskName& task) const;

 private:
  const uint32_t failures_max_;
  std::set<uint32_t> judged_;  // executors
  std::set<TaskName> suspects_;
  std::map<TaskName, uint32_t> failures_;
};

}  // namespace sluice
