#include "driver/job/log_queue.h"

#include <iterator>

#include "glog/logging.h"

namespace sluice {
namespace {

// Of one append; a single entry may be larger. A log that was away for long leaves more than a
// record of it can hold.
constexpr uint64_t kAppendBytesMax = uint64_t{8} << 20;

}  // namespace

uint64_t LogQueue::Enqueue(proto::Entry entry) {
  const absl::Status applied = state_->Apply(entry);
  CHECK(applied.ok()) << "the driver decided what its own log would refuse: " << applied;
  pending_.push_back(std::move(entry));
  return ++enqueued_;
}

void LogQueue::Flush(std::vector<DriverCommand>& out) {
  if (!in_flight_.empty() || pending_.empty()) return;
  auto end = pending_.begin();
  uint64_t bytes = 0;
  do {
    bytes += end->ByteSizeLong();
    ++end;
  } while (end != pending_.end() && bytes + end->ByteSizeLong() <= kAppendBytesMax);
  in_flight_.assign(std::make_move_iterator(pending_.begin()), std::make_move_iterator(end));
  pending_.erase(pending_.begin(), end);
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
