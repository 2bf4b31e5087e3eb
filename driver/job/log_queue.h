// The running driver's side of the log: entries are applied to the job's state when they are
// decided, appended in groups with one append in flight, and their outside effects are held back
// until they are durable.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "driver/job/commands.h"
#include "driver/job/job_state.h"

namespace sluice {

// Not thread-safe. Invariant: `state` = everything enqueued, `durable` = everything appended.
class LogQueue {
 public:
  // Both states are replayed from the log; `next_slot` is the first free slot.
  LogQueue(JobState* state, JobState durable, uint64_t next_slot)
      : state_(state), durable_(std::move(durable)), next_slot_(next_slot) {}

  // Applies the entry now and appends it with the next group. Returns its sequence number.
  uint64_t Enqueue(proto::Entry entry);
  // Carried out when everything enqueued so far is durable.
  void AfterDurable(DriverCommand command) { after_.emplace_back(enqueued_, std::move(command)); }
  // The sequence number of the newest entry.
  uint64_t enqueued() const { return enqueued_; }
  bool IsDurable(uint64_t sequence) const { return sequence <= durable_sequence_; }
  // Issues the next append unless one is in flight: of the oldest entries, as many as a record of
  // the log should hold.
  void Flush(std::vector<DriverCommand>& out);
  // Gives out what waited for entries that are durable by now.
  void TakeDue(std::vector<DriverCommand>& out);
  void OnDurable(const LogDurable& event, std::vector<DriverCommand>& out);
  // No entry waits or is in flight.
  bool idle() const { return in_flight_.empty() && pending_.empty(); }
  uint64_t next_slot() const { return next_slot_; }
  const JobState& durable() const { return durable_; }
  void ForgetCovered() { durable_.TakeCoveredBlocks(); durable_.ForgetCovered(); }

 private:
  JobState* state_;
  JobState durable_;
  uint64_t next_slot_;
  uint64_t enqueued_ = 0;
  uint64_t durable_sequence_ = 0;
  std::deque<proto::Entry> pending_;
  std::vector<proto::Entry> in_flight_;
  std::deque<std::pair<uint64_t, DriverCommand>> after_;
};

}  // namespace sluice
