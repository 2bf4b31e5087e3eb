// Which tasks are held to have ended their executor, and how often.
//
// An executor that crashes leaves behind what its slots were at. A lone task is guilty: that is one
// attempt. Of several, one is guilty and nobody knows which: all are suspects, and none is charged.
// Suspects are tried again in an executor of one slot that owns nothing else, where the next crash
// has one task only. So whoever shares an executor with a bad task is never charged for it.
#pragma once

#include <algorithm>
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

//
// Where bad records are set aside (`bad_records_max` above 0), a suspected map task marks each of
// its records before it runs it: the crash then names the record, which is left out at the next
// try and charged instead of the task. There are at most kCulpritsMax of them in a batch, each of
// which costs an executor; beyond that the task is charged again.

// Not thread-safe. Of one epoch.
class Blame {
 public:
  static constexpr size_t kCulpritsMax = 16;
  explicit Blame(uint32_t failures_max, uint32_t bad_records_max = 0)
      : failures_max_(failures_max),
        culprits_max_(std::min<size_t>(bad_records_max, kCulpritsMax)) {}

  // A worker daemon's word about an executor that has ended; said again, it counts once. Gives
  // the task that has no further attempt. `search_first`: nobody has looked for the record yet, so
  // that the task is not charged.
  std::optional<TaskName> OnExited(const proto::ExecutorExited& exited, bool search_first = false);
  // The batches up to this one have run to their end, or one was skipped: nothing is held against
  // their tasks any more.
  void Forget(int64_t up_to_batch_ms);

  // To be tried alone.
  const std::set<TaskName>& suspects() const { return suspects_; }
  uint32_t FailuresOf(const TaskName& task) const;
  // The records of a task that ended their executor, by place, and how.
  using Culprits = std::map<uint64_t, std::string>;
  const std::map<TaskName, Culprits>& culprits() const { return culprits_; }
  bool names_records() const { return culprits_max_ > 0; }

 private:
  bool TakeCulprit(const TaskName& task, uint64_t record, const std::string& cause);

  const uint32_t failures_max_;
  const size_t culprits_max_;
  std::map<TaskName, Culprits> culprits_;
  std::set<uint32_t> judged_;  // executors
  std::set<TaskName> suspects_;
  std::map<TaskName, uint32_t> failures_;
};

}  // namespace sluice
