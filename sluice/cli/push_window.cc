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
  records_.push_back(std::move(record));
}

void PushWindow::Acknowledged(int64_t last) {
  if (last <= acknowledged_) return;
  int64_t held = std::min<int64_t>(last - acknowledged_, records_.size());
  records_.erase(records_.begin(), records_.begin() + held);
  acknowledged_ = last;
  sent_ = std::max(sent_, acknowledged_);
}

PushWindow::Batch PushWindow::Next(bool flush) {
  Batch batch;
  int64_t unsent = added_ - sent_;
  if (unsent <= 0) return batch;
  if (unsent < static_cast<int64_t>(batch_records_) && !flush && !ended_ && !Full()) {
    return batch;
  }
  batch.first = sent_ + 1;
  int64_t count = std::min<int64_t>(unsent, batch_records_);
  auto begin = records_.begin() + (sent_ - acknowledged_);
  batch.records.assign(begin, begin + count);
  sent_ += count;
  return batch;
}

}  // namespace sluice::cli
