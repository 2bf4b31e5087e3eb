#include "common/event_loop.h"

#include <pthread.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

namespace sluice {
namespace {

// Set on the threads of event loops.
thread_local bool on_some_loop = false;

}  // namespace

EventLoop::EventLoop(Options options) : options_(std::move(options)) {
  subscription_ = options_.clock->Subscribe([this] {
    std::lock_guard lock(mutex_);
    Wake();
  });
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), options_.name.substr(0, 15).c_str());
}

EventLoop::~EventLoop() {
  options_.clock->Unsubscribe(subscription_);
  Stop();
  if (thread_.joinable()) thread_.join();
}

bool EventLoop::Post(Task task) { return Enqueue(std::move(task), !on_some_loop); }

bool EventLoop::PostNow(Task task) { return Enqueue(std::move(task), false); }

bool EventLoop::Enqueue(Task task, bool may_wait) {
  std::unique_lock lock(mutex_);
  if (may_wait && queue_.size() >= options_.queue_max) {
    ++waiting_for_room_;
    room_.wait(lock, [this] { return stopping_ || queue_.size() < options_.queue_max; });
    --waiting_for_room_;
  }
  if (stopping_) return false;
  queue_.push_back(std::move(task));
  Wake();
  return true;
}

EventLoop::TimerId EventLoop::RunAt(MonotonicTime at, Task task) {
  std::lock_guard lock(mutex_);
  const TimerId id{at, next_timer_++};
  if (stopping_) return id;
  const bool first = timers_.empty() || at < timers_.begin()->first.at;
  timers_.emplace(id, std::move(task));
  if (first) Wake();
  return id;
}

EventLoop::TimerId EventLoop::RunAfter(int64_t microseconds, Task task) {
  return RunAt(options_.clock->MonotonicUs() + microseconds, std::move(task));
}

bool EventLoop::Cancel(TimerId timer) {
  std::map<TimerId, Task>::node_type dropped;  // destroyed after the lock is given back
  std::lock_guard lock(mutex_);
  dropped = timers_.extract(timer);
  return !dropped.empty();
}

void EventLoop::Sync() {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  // Destroyed when it ran, and also when the loop stopped before: both end the wait.
  auto signal = std::shared_ptr<void>(nullptr, [&](void*) {
    std::lock_guard lock(mutex);
    done = true;
    changed.notify_all();
  });
  PostNow([signal = std::move(signal)] {});
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return done; });
}

void EventLoop::Stop() {
  std::vector<Task> dropped;
  std::map<TimerId, Task> dropped_timers;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
    dropped_timers.swap(timers_);
    work_.notify_all();
    room_.notify_all();
  }
  dropped.clear();  // now: the task that runs may wait for what they hold
  dropped_timers.clear();
  if (OnLoopThread()) return;
  std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

void EventLoop::Wake() {
  if (asleep_) {
    asleep_ = false;
    work_.notify_one();
  }
}

// A turn: sleep until there is work; run the timers that are due; run the tasks that are there.
void EventLoop::Run() {
  on_some_loop = true;
  std::vector<Task> tasks;
  std::unique_lock lock(mutex_);
  while (AwaitWork(lock)) {
    RunDueTimers(lock);
    tasks.swap(queue_);
    if (waiting_for_room_ > 0) room_.notify_all();
    for (Task& task : tasks) {
      if (stopping_) break;
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
    }
    lock.unlock();
    tasks.clear();
    lock.lock();
  }
}

// False: the loop is to end.
bool EventLoop::AwaitWork(std::unique_lock<std::mutex>& lock) {
  while (!stopping_ && queue_.empty()) {
    std::optional<int64_t> wait_us;
    if (!timers_.empty()) {
      wait_us = timers_.begin()->first.at - options_.clock->MonotonicUs();
      if (*wait_us <= 0) return true;
    }
    asleep_ = true;
    if (wait_us && !options_.clock->manual()) {
      work_.wait_for(lock, std::chrono::microseconds(*wait_us));
    } else {
      work_.wait(lock);
    }
    asleep_ = false;
  }
  return !stopping_;
}

// Timers that these timers set are for the next turn, so that they cannot starve the queue.
void EventLoop::RunDueTimers(std::unique_lock<std::mutex>& lock) {
  const MonotonicTime now = timers_.empty() ? 0 : options_.clock->MonotonicUs();
  const uint64_t limit = next_timer_;
  auto next = timers_.begin();
  while (!stopping_ && next != timers_.end() && next->first.at <= now) {
    if (next->first.number >= limit) {
      ++next;
      continue;
    }
    const TimerId id = next->first;
    Task task = std::move(timers_.extract(next).mapped());
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
    next = timers_.lower_bound(id);
  }
}

}  // namespace sluice
