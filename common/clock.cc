#include "common/clock.h"

#include <time.h>

#include <utility>

namespace sluice {
namespace {

int64_t ReadUs(clockid_t id) {
  timespec now;
  clock_gettime(id, &now);
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

class SystemClock : public Clock {
 public:
  MonotonicTime MonotonicUs() const override { return ReadUs(CLOCK_BOOTTIME); }
  int64_t WallMs() const override { return ReadUs(CLOCK_REALTIME) / 1000; }
};

}  // namespace

uint64_t Clock::Subscribe(std::function<void()>) { return 0; }
void Clock::Unsubscribe(uint64_t) {}

Clock& RealClock() {
  static SystemClock* clock = new SystemClock;
  return *clock;
}

MonotonicTime ManualClock::MonotonicUs() const {
  return now_;
}

int64_t ManualClock::WallMs() const {
  return wall_us_ / 1000;
}

uint64_t ManualClock::Subscribe(std::function<void()> moved) {
  std::lock_guard lock(mutex_);
  subscribers_.emplace(next_subscription_, std::move(moved));
  return next_subscription_++;
}

void ManualClock::Unsubscribe(uint64_t subscription) {
  std::lock_guard lock(mutex_);
  subscribers_.erase(subscription);
}

// Subscribers are called under the lock, so that none is called after its Unsubscribe returned.
void ManualClock::Advance(int64_t microseconds) {
  now_ += microseconds;
  wall_us_ += microseconds;
  std::lock_guard lock(mutex_);
  for (const auto& [id, moved] : subscribers_) moved();
}

void ManualClock::SetWallMs(int64_t wall_ms) {
  wall_us_ = wall_ms * 1000;
}

}  // namespace sluice
