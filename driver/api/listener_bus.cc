#include "driver/api/listener_bus.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <iostream>

namespace sluice::internal {

thread_local int CallbackScope::depth_ = 0;

void ListenerBus::Close() {
  std::unique_lock lock(mutex_);
  if (thread_.joinable()) {
    changed_.wait_for(lock, std::chrono::seconds(1), [this] { return calls_.empty() && !busy_; });
  }
  closing_ = true;
  if (!thread_.joinable()) return;
  changed_.notify_all();
  lock.unlock();
  thread_.join();
}

void ListenerBus::Add(std::shared_ptr<StreamingListener> listener) {
  if (listener == nullptr) return;
  const std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(listener));
}

void ListenerBus::Remove(const std::shared_ptr<StreamingListener>& listener) {
  const std::lock_guard lock(mutex_);
  std::erase(listeners_, listener);
}

void ListenerBus::Post(Call call) {
  const std::lock_guard lock(mutex_);
  if (listeners_.empty() || closing_) return;
  if (calls_.size() >= kQueueMax) {
    if (dropped_++ == 0) {
      std::cerr << "listeners are too slow: events of the job are dropped" << std::endl;
    }
    return;
  }
  calls_.emplace_back(std::move(call), listeners_);
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  changed_.notify_all();
}

uint64_t ListenerBus::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void ListenerBus::Flush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return calls_.empty() && !busy_; });
}

void ListenerBus::Run() {
  const CallbackScope scope;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closing_ || !calls_.empty(); });
    if (closing_) return;
    const auto [call, listeners] = std::move(calls_.front());
    calls_.pop_front();
    busy_ = true;
    lock.unlock();
    Deliver(call, listeners);
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

void ListenerBus::Deliver(const Call& call, const Listeners& listeners) {
  for (const std::shared_ptr<StreamingListener>& listener : listeners) {
    try {
      call(*listener);
    } catch (const std::exception& error) {
      std::cerr << "a listener threw: " << error.what() << std::endl;
    } catch (...) {
      std::cerr << "a listener threw something that is no std::exception" << std::endl;
    }
  }
}

}  // namespace sluice::internal
