// The threads that serve an HTTP server's connections, one each. Whoever connects while all are
// taken gets the place of the connection that has been without a whole request for longest, so
// that clients that send nothing keep no other from its page.
#pragma once

#include <httplib.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "common/http_connection.h"

namespace sluice {

// Thread-safe. Every connection that waits is served by a task of enqueue.
class HttpThreads : public httplib::TaskQueue {
 public:
  // Runs `serve` on a thread of its own; waits for a place where there is none.
  void enqueue(std::function<void()> serve) override;
  // Cuts the connections that wait, now and later, and returns when all tasks have ended.
  void shutdown() override;

  // The connection waits for its next request; it may be cut until it does not any more.
  void Waits(HttpConnection* connection);
  void WaitsNoMore(HttpConnection* connection);

 private:
  static constexpr size_t kMax = 32;

  void Run();
  void AddThread();  // with the lock
  void CutOldest();  // with the lock; nothing where none waits

  std::mutex mutex_;
  std::condition_variable work_, room_;
  std::vector<std::thread> threads_;        // made as they are needed
  std::deque<std::function<void()>> tasks_;
  std::list<HttpConnection*> waiting_;      // the oldest first
  size_t busy_ = 0;                         // tasks that have not ended
  bool cut_one_ = false;                    // and its task has not ended yet, nor another
  bool over_ = false;
};

}  // namespace sluice
