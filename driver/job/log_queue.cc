#include "driver/job/log_queue.h"

#include "glog/logging.h"

namespace sluice {

uint64_t LogQueue::Enqueue(proto::Entry entry) {
  const absl::Status applied = state_->Apply(entry);
  CHECK(applied.ok()) << "the driver decided what its own log would refuse: " << applied;
  pending_.push_back(std::move(entry));
  return ++enqueued_;
}

void LogQueue::Flush(std::vector<DriverCommand>& out) {
  if (!in_flight_.empty() || pending_.empty()) return;
  in_flight_.swap(pending_);
  out.push_back(AppendEntries{in_flight_});
}

void LogQueue::OnDurable(const LogDurable& event, std::vector<DriverCommand>& out) {
  const LogPosition position{event.slot, event.checksum};
  for (const proto::Entry& entry : in_flight_) {
    const absl::Status applied = durable_.Apply(entry);
    CHECK(applied.ok()) << applied;
    if (!entry.has_decided()) continue;
    state_->SetPosition(entry.decided().batch_ms(), position);
    durable_.SetPosition(entry.decided().batch_ms(), position);
  }
  durable_sequence_ += in_flight_.size();
  in_flight_.clear();
  next_slot_ = event.slot + 1;
  TakeDue(out);
  Flush(out);
}

void LogQueue::TakeDue(std::vector<DriverCommand>& out) {
  while (!after_.empty() && after_.front().first <= durable_sequence_) {
    out.push_back(std::move(after_.front().second));
    after_.pop_front();
  }
}

}  // namespace sluice
