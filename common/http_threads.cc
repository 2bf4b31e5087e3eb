#include "common/http_threads.h"

#include <system_error>
#include <utility>

namespace sluice {

void HttpThreads::enqueue(std::function<void()> serve) {
  std::unique_lock lock(mutex_);
  while (busy_ == kMax) {
    if (!cut_one_) CutOldest();
    room_.wait(lock);
  }
  ++busy_;
  tasks_.push_back(std::move(serve));
  if (threads_.size() < busy_) AddThread();
  work_.notify_one();
}

// Where none is to be had the connection waits for one that is there, or that can be made later.
void HttpThreads::AddThread() {
  try {
    threads_.emplace_back([this] { Run(); });
  } catch (const std::system_error&) {
    if (!cut_one_) CutOldest();
  }
}

void HttpThreads::CutOldest() {
  if (waiting_.empty()) return;
  waiting_.front()->Cut();
  waiting_.pop_front();
  cut_one_ = true;
}

void HttpThreads::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return !tasks_.empty() || over_; });
    if (tasks_.empty()) return;
    const std::function<void()> serve = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    serve();
    lock.lock();
    --busy_;
    cut_one_ = false;
    room_.notify_one();
  }
}

void HttpThreads::Waits(HttpConnection* connection) {
  std::lock_guard lock(mutex_);
  waiting_.push_back(connection);
  if (over_) connection->Cut();
  room_.notify_one();
}

void HttpThreads::WaitsNoMore(HttpConnection* connection) {
  std::lock_guard lock(mutex_);
  waiting_.remove(connection);
}

void HttpThreads::shutdown() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
    for (HttpConnection* connection : waiting_) connection->Cut();
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace sluice
