// Time, behind one seam: shells take a Clock, cores are handed the time with each event.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

namespace sluice {

// Microseconds since the machine started, time spent suspended included. Only differences mean
// anything, and only on one machine.
using MonotonicTime = int64_t;

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime MonotonicUs() const = 0;
  // Milliseconds since 1970, UTC. May jump in both directions.
  virtual int64_t WallMs() const = 0;
  // True when time stands still until somebody moves it: nobody may wait for it to pass.
  virtual bool manual() const { return false; }
  // `moved` is called after every move of a manual clock, by the thread that moves it.
  virtual uint64_t Subscribe(std::function<void()> moved);
  virtual void Unsubscribe(uint64_t subscription);
};

// CLOCK_BOOTTIME and CLOCK_REALTIME. Lives for ever.
Clock& RealClock();

// Stands still until moved. Wall time moves along, and can be set apart from it.
class ManualClock : public Clock {
 public:
  explicit ManualClock(MonotonicTime now = 1'000'000, int64_t wall_ms = 1'700'000'000'000)
      : now_(now), wall_us_(wall_ms * 1000) {}
  MonotonicTime MonotonicUs() const override;
  int64_t WallMs() const override;
  bool manual() const override { return true; }
  uint64_t Subscribe(std::function<void()> moved) override;
  void Unsubscribe(uint64_t subscription) override;

  void Advance(int64_t microseconds);
  void SetWallMs(int64_t wall_ms);

 private:
  // Not under the mutex: a subscriber's own lock may be held by somebody who reads the time.
  std::atomic<MonotonicTime> now_;
  std::atomic<int64_t> wall_us_;
  std::mutex mutex_;  // of the subscribers
  uint64_t next_subscription_ = 1;
  std::map<uint64_t, std::function<void()>> subscribers_;
};

}  // namespace sluice
