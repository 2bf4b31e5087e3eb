// The pure half of the push client: which records are on their way.
#include <algorithm>

#include "sluice/cli/push_client.h"

namespace sluice::cli {

void PushWindow::Add(std::string record) {
  ++added_;
  // A former run of this producer was acknowledged farther than this run has read.
  if (added_ <= acknowledged_) {
    sent_ = std::max(sent_, added_);
    return;
  }
  bytes_ += record.size();
  records_.push_back(std::move(record));
}

void PushWindow::Acknowledged(int64_t last) {
  if (last <= acknowledged_) return;
  int64_t held = std::min<int64_t>(last - acknowledged_, records_.size());
  for (int64_t i = 0; i < held; ++i) bytes_ -= records_[i].size();
  records_.erase(records_.begin(), records_.begin() + held);
  acknowledged_ = last;
  sent_ = std::max(sent_, acknowledged_);
}

PushWindow::Batch PushWindow::Next(bool flush) {
  Batch batch;
  int64_t unsent = added_ - sent_;
  if (unsent <= 0) return batch;
  const auto begin = records_.begin() + (sent_ - acknowledged_);
  const int64_t most = std::min<int64_t>(unsent, bounds_.batch_records);
  int64_t count = 1;
  uint64_t bytes = begin->size();
  while (count < most && bytes + begin[count].size() <= bounds_.batch_bytes) {
    bytes += begin[count++].size();
  }
  const bool full = count < unsent || count == static_cast<int64_t>(bounds_.batch_records) ||
                    bytes >= bounds_.batch_bytes;
  if (!full && !flush && !ended_ && !Full()) return batch;
  batch.first = sent_ + 1;
  batch.records.assign(begin, begin + count);
  sent_ += count;
  return batch;
}

PushWindow::Largest PushWindow::LargestWaiting() const {
  Largest largest;
  int64_t number = acknowledged_;
  for (const std::string& record : records_) {
    ++number;
    if (largest.number == 0 || record.size() > largest.bytes) largest = {number, record.size()};
  }
  return largest;
}

}  // namespace sluice::cli
