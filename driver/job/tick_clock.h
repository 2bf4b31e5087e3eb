// When the next batch is due. Batch times are multiples of the interval on the epoch clock and
// only grow. Within one driver the clock is the wall clock of its start plus monotonic time, so
// that a wall clock that jumps neither stops batches nor bursts them.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice {

// Not thread-safe.
class TickClock {
 public:
  explicit TickClock(int64_t interval_ms) : interval_ms_(interval_ms) {}

  // `zero_ms` is one interval before the first batch; `last_ms` the last planned batch, or 0.
  void Start(int64_t now_us, int64_t wall_ms, int64_t zero_ms, int64_t last_ms) {
    zero_ms_ = zero_ms;
    last_ms_ = std::max(zero_ms, last_ms);
    start_us_ = now_us;
    start_wall_us_ = std::max(wall_ms, last_ms_) * 1000;
    started_ = true;
  }
  bool started() const { return started_; }
  static int64_t ZeroFor(int64_t wall_ms, int64_t interval_ms) {
    return wall_ms / interval_ms * interval_ms;
  }
  // The latest tick that is due and not taken; 0: none. Ticks between it and the last taken one
  // were missed.
  int64_t Due(int64_t now_us) const {
    if (!started_) return 0;
    const int64_t ticks = (NowMs(now_us) - zero_ms_) / interval_ms_;
    const int64_t due = zero_ms_ + ticks * interval_ms_;
    return due > last_ms_ ? due : 0;
  }
  // First missed tick when `batch_ms` is taken now; 0: none.
  int64_t MissedBefore(int64_t batch_ms) const {
    return batch_ms > NextMs() ? NextMs() : 0;
  }
  void Take(int64_t batch_ms) { last_ms_ = batch_ms; }
  // Monotonic time of the next tick.
  int64_t NextUs() const { return start_us_ + NextMs() * 1000 - start_wall_us_; }
  // Microseconds between the tick and now.
  int64_t LateUs(int64_t batch_ms, int64_t now_us) const {
    return start_wall_us_ + (now_us - start_us_) - batch_ms * 1000;
  }
  int64_t TickOf(int64_t batch_ms) const { return (batch_ms - zero_ms_) / interval_ms_; }

 private:
  // Behind the last one, which may be of another interval.
  int64_t NextMs() const {
    return zero_ms_ + ((last_ms_ - zero_ms_) / interval_ms_ + 1) * interval_ms_;
  }
  int64_t NowMs(int64_t now_us) const { return (start_wall_us_ + now_us - start_us_) / 1000; }
  const int64_t interval_ms_;
  bool started_ = false;
  int64_t zero_ms_ = 0;
  int64_t last_ms_ = 0;
  int64_t start_us_ = 0;
  int64_t start_wall_us_ = 0;
};

}  // namespace sluice
