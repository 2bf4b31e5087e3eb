// Holds the records that a receiver takes to a rate.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "common/clock.h"

namespace sluice {

// Not thread-safe. What is taken at once may exceed the rate: then nothing is taken until it is
// made up for, at the rate that then holds.
class Pace {
 public:
  static constexpr MonotonicTime kAheadUs = 10'000;  // how far a receiver may run ahead

  // Records per second; 0: no bound.
  void SetRate(MonotonicTime now, double rate) {
    Settle(now);
    rate_ = rate;
    if (rate_ <= 0) debt_ = 0;
  }
  // When the next records may be taken; not above `now`: at once.
  MonotonicTime NextUs(MonotonicTime now) {
    if (rate_ <= 0) return now;
    Settle(now);
    if (debt_ <= 0) return now;
    return now + std::max<MonotonicTime>(1, static_cast<MonotonicTime>(debt_ / rate_ * 1e6));
  }
  void Take(MonotonicTime now, uint64_t records) {
    if (rate_ <= 0) return;
    Settle(now);
    debt_ += static_cast<double>(records);
  }
  // How many of those that may be taken now are to go together: what the rate gives in so long, and
  // what has been saved up; one at least.
  uint64_t Together(MonotonicTime interval_us) const {
    if (rate_ <= 0) return std::numeric_limits<uint64_t>::max();
    const double records = rate_ * static_cast<double>(interval_us) / 1e6 - debt_;
    return std::max<uint64_t>(1, static_cast<uint64_t>(std::max(records, 0.0)));
  }
  double rate() const { return rate_; }

 private:
  void Settle(MonotonicTime now) {
    const double made_up = rate_ * static_cast<double>(now - settled_) / 1e6;
    const double ahead = rate_ * static_cast<double>(kAheadUs) / 1e6;
    debt_ = std::max(debt_ - made_up, -ahead);
    settled_ = now;
  }

  double rate_ = 0;
  double debt_ = 0;  // records that were taken too early; below 0: may be taken at once
  MonotonicTime settled_ = 0;
};

}  // namespace sluice
