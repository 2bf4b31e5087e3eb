// When the next batch is due. Batch times are multiples of the interval on the epoch clock and
// only grow. Within one driver the clock is the wall clock of its start plus monotonic time, so
// that a wall clock that jumps neither stops batches nor bursts them.
//
// Of ticks that were missed the latest is taken, with all input that waits. Before it comes, late,
// the first one at which each of the windows slides: what a window has taken since it slid last is
// in no other batch of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace sluice {

// Not thread-safe.
class TickClock {
 public:
  // `slides`: of windows, in ticks.
  explicit TickClock(int64_t interval_ms, std::vector<int64_t> slides = {})
      : interval_ms_(interval_ms), slides_(std::move(slides)) {}

  // `zero_ms` is one interval before the first batch; `last_ms` the last planned batch, or 0.
  void Start(int64_t now_us, int64_t wall_ms, int64_t zero_ms, int64_t last_ms) {
    zero_ms_ = zero_ms;
    last_ms_ = std::max(zero_ms, last_ms);
    in_time_ms_ = last_ms_;
    start_us_ = now_us;
    start_wall_us_ = std::max(wall_ms, last_ms_) * 1000;
    started_ = true;
  }
  bool started() const { return started_; }
  static int64_t ZeroFor(int64_t wall_ms, int64_t interval_ms) {
    return wall_ms / interval_ms * interval_ms;
  }
  // The tick to be taken next; 0: none. Those between it and the last taken one were missed.
  int64_t Due(int64_t now_us) const {
    int64_t due = Latest(now_us);
    if (due == 0) return 0;
    for (const int64_t slide : slides_) {
      const int64_t slid_ms = FirstBehind(in_time_ms_, slide * interval_ms_);
      if (slid_ms > last_ms_) due = std::min(due, slid_ms);
    }
    return due;
  }
  // The latest tick that is due, and not taken; 0: none.
  int64_t Latest(int64_t now_us) const {
    if (!started_) return 0;
    const int64_t ticks = (NowMs(now_us) - zero_ms_) / interval_ms_;
    const int64_t due = zero_ms_ + ticks * interval_ms_;
    return due > last_ms_ ? due : 0;
  }
  // First missed tick when `batch_ms` is taken now; 0: none.
  int64_t MissedBefore(int64_t batch_ms) const {
    return batch_ms > NextMs() ? NextMs() : 0;
  }
  // `in_time`: it was the latest when it was begun.
  void Take(int64_t batch_ms, bool in_time) {
    last_ms_ = batch_ms;
    if (in_time) in_time_ms_ = batch_ms;
  }
  // Monotonic time of the next tick.
  int64_t NextUs() const { return start_us_ + NextMs() * 1000 - start_wall_us_; }

 private:
  // Behind the last one, which may be of another interval.
  int64_t NextMs() const { return FirstBehind(last_ms_, interval_ms_); }
  int64_t FirstBehind(int64_t ms, int64_t step_ms) const {
    return zero_ms_ + ((ms - zero_ms_) / step_ms + 1) * step_ms;
  }
  int64_t NowMs(int64_t now_us) const { return (start_wall_us_ + now_us - start_us_) / 1000; }
  const int64_t interval_ms_;
  const std::vector<int64_t> slides_;
  bool started_ = false;
  int64_t zero_ms_ = 0;
  int64_t last_ms_ = 0;
  int64_t in_time_ms_ = 0;  // the last tick that was taken in time
  int64_t start_us_ = 0;
  int64_t start_wall_us_ = 0;
};

}  // namespace sluice
