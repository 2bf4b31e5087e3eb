// One thread that runs what others hand it: the body of every shell around a core. Tasks run one
// after another, in the order in which each producer posted them, and never next to a timer.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "common/clock.h"

namespace sluice {

// Thread-safe. Invariants: a task that was accepted runs unless the loop is stopped first; what
// never runs is destroyed by the loop; an idle loop sleeps until work or the next timer is due.
class EventLoop {
 public:
  using Task = absl::AnyInvocable<void()>;
  struct TimerId {
    MonotonicTime at = 0;
    uint64_t number = 0;
    auto operator<=>(const TimerId&) const = default;
  };
  struct Options {
    std::string name = "loop";       // of the thread, for people; 15 characters count
    size_t queue_max = 65536;        // where Post begins to wait
    Clock* clock = &RealClock();     // outlives the loop
  };

  EventLoop() : EventLoop(Options()) {}
  explicit EventLoop(Options options);
  ~EventLoop();  // stops; not on the loop's own thread
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Waits while the queue is full, unless the caller is itself the thread of some event loop:
  // loops never wait for each other. False: the loop has stopped and the task is dropped.
  bool Post(Task task);
  // The same, but never waits: the bound is for those who can be held back.
  bool PostNow(Task task);

  // Runs `task` on the loop at `at`, or as soon after it as it can. Timers that are due run before
  // posted tasks, in the order of their times.
  TimerId RunAt(MonotonicTime at, Task task);
  TimerId RunAfter(int64_t microseconds, Task task);
  // True when the timer will not run any more because of this call.
  bool Cancel(TimerId timer);

  // Returns when the timers that were due at the call and all tasks posted before it have run.
  // Not on the loop's own thread.
  void Sync();

  // Ends the loop after the task at hand; the rest is dropped. Waits for the thread, unless called
  // on it. Any number of times.
  void Stop();

  bool OnLoopThread() const { return std::this_thread::get_id() == thread_.get_id(); }
  const Clock& clock() const { return *options_.clock; }

 private:
  bool Enqueue(Task task, bool may_wait);
  void Run();
  bool AwaitWork(std::unique_lock<std::mutex>& lock);
  void RunDueTimers(std::unique_lock<std::mutex>& lock);
  void Wake();  // with mutex_ held

  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable room_;
  std::vector<Task> queue_;
  std::map<TimerId, Task> timers_;
  uint64_t next_timer_ = 1;
  size_t waiting_for_room_ = 0;
  bool asleep_ = false;
  bool stopping_ = false;
  std::mutex join_mutex_;
  uint64_t subscription_ = 0;
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace sluice
