#include "bench/feed.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace sluice::bench {

void FeedGate::AllowPass() {
  std::lock_guard lock(mutex_);
  allowed_ += records_;
  changed_.notify_all();
}

void FeedGate::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

FeedGate::Range FeedGate::Next(uint64_t most) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return closed_ || (sent_ < allowed_ && sent_ < decided_ + window_);
  });
  if (closed_) return {};
  const uint64_t at = sent_ % records_;
  const uint64_t count = std::min({most, records_ - at, allowed_ - sent_});
  sent_ += count;
  return {at, count};
}

void FeedGate::AwaitDecided() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return decided_ >= allowed_; });
}

uint64_t FeedGate::batches() const {
  std::lock_guard lock(mutex_);
  return batches_;
}

void FeedGate::OnBatchCompleted(const BatchInfo& batch) {
  if (!batch.failure.empty()) {
    std::fprintf(stderr, "a batch has failed: %s\n", batch.failure.c_str());
    std::exit(1);
  }
  std::lock_guard lock(mutex_);
  decided_ += batch.records;
  batches_ += batch.records == 0 ? 0 : 1;
  changed_.notify_all();
}

}  // namespace sluice::bench
