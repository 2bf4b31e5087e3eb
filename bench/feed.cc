#include "bench/feed.h"

#include <algorithm>

namespace sluice::bench {

Feed::Feed(const Lines& lines, uint64_t window) : window_(window) {
  uint32_t begin = 0;
  for (const uint32_t end : lines.ends) {
    lines_.emplace_back(lines.bytes.data() + begin, end - begin);
    begin = end;
  }
}

void Feed::Allow(uint64_t passes) {
  std::lock_guard lock(mutex_);
  allowed_ += passes * lines_.size();
  changed_.notify_all();
}

void Feed::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

std::span<const std::string_view> Feed::Next(uint64_t most) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return closed_ || (sent_ < allowed_ && sent_ < decided_ + window_);
  });
  if (closed_) return {};
  const uint64_t at = sent_ % lines_.size();
  const uint64_t count = std::min({most, lines_.size() - at, allowed_ - sent_});
  sent_ += count;
  return {lines_.data() + at, count};
}

void Feed::Decided(uint64_t lines) {
  std::lock_guard lock(mutex_);
  decided_ += lines;
  changed_.notify_all();
}

void Feed::AwaitDecided() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return decided_ >= allowed_; });
}

void FeedReceiver::Run(Receiving<std::string>& receiving) {
  int64_t number = 1;
  while (!receiving.stopping()) {
    const std::span<const std::string_view> lines = feed_->Next(lines_per_store_);
    if (lines.empty()) {
      receiving.WaitStopping(1000);
      continue;
    }
    while (!receiving.Store(lines, {.producer = "feed", .first = number})) {
      if (receiving.stopping()) return;
    }
    number += static_cast<int64_t>(lines.size());
  }
}

}  // namespace sluice::bench
