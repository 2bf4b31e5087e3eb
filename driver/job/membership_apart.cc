// The executor apart: of one slot, owning nothing but the tasks that are to be tried alone.
#include <algorithm>

#include "driver/job/membership.h"

namespace sluice {

void Membership::WantApart(MonotonicTime now, bool wanted, std::vector<DriverCommand>& out) {
  // One from an earlier trial is not fresh any more.
  if (wanted && !apart_wanted_) EndApart(now, out);
  apart_wanted_ = wanted;
}

const ExecutorEntry* Membership::Apart() const {
  const auto it = std::find_if(executors_.begin(), executors_.end(),
                               [](const auto& entry) { return entry.second.apart; });
  return it == executors_.end() ? nullptr : &it->second;
}

bool Membership::ApartSettled() const {
  const ExecutorEntry* apart = Apart();
  return !apart_wanted_ || (apart != nullptr && apart->phase == ExecutorEntry::Phase::kReady);
}

// On another worker each time, so that a node's fault is not taken for the task's.
void Membership::StartApart(MonotonicTime now, std::vector<DriverCommand>& out) {
  if (!apart_wanted_ || Apart() != nullptr) return;
  const std::vector<WorkerEntry*> serving = Serving();
  if (serving.empty()) return;
  const WorkerEntry& worker = *serving[apart_starts_++ % serving.size()];
  ExecutorEntry executor;
  executor.id = next_executor_++;
  executor.apart = true;
  executor.worker_id = worker.member.worker_id();
  executor.worker_incarnation = worker.member.incarnation();
  executor.slots = 1;
  executor.started = now;
  SendStart(now, executors_[executor.id] = executor, out);
}

void Membership::EndApart(MonotonicTime now, std::vector<DriverCommand>& out) {
  const ExecutorEntry* apart = Apart();
  if (apart == nullptr) return;
  MembershipNews known;
  Evict(now, apart->id, known, out);
}

}  // namespace sluice
