// Hands events to listeners on a thread of its own. What the runtime fills and a context owns.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "driver/api/listener.h"

namespace sluice::internal {

// Marks a thread while it runs the program's own code for the job: whoever waits there for the job
// to end would wait for itself.
class CallbackScope {
 public:
  CallbackScope() { ++depth_; }
  ~CallbackScope() { --depth_; }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;
  static bool Inside() { return depth_ > 0; }

 private:
  static thread_local int depth_;
};

// Thread-safe. The thread starts with the first event that anybody hears.
class ListenerBus {
 public:
  using Call = std::function<void(StreamingListener&)>;
  static constexpr size_t kQueueMax = 10'000;

  ListenerBus() = default;
  ~ListenerBus() { Close(); }
  // Delivers what waits, for a second at most, and awaits the call at hand. What is posted later is
  // dropped.
  void Close();

  void Add(std::shared_ptr<StreamingListener> listener);
  // It hears nothing that is posted later.
  void Remove(const std::shared_ptr<StreamingListener>& listener);
  // Returns at once; dropped where nobody listens or too many wait.
  void Post(Call call);
  uint64_t dropped() const;
  // Blocks until everything posted before has been delivered.
  void Flush();

 private:
  using Listeners = std::vector<std::shared_ptr<StreamingListener>>;
  void Run();
  static void Deliver(const Call& call, const Listeners& listeners);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Listeners listeners_;
  std::deque<std::pair<Call, Listeners>> calls_;
  bool busy_ = false;
  bool closing_ = false;
  uint64_t dropped_ = 0;
  std::thread thread_;
};

}  // namespace sluice::internal
