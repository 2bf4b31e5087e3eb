// Keeps user code with effects of its own apart from generations that are over: what a former
// generation began ends before the next one's state is loaded, and what it has not begun never
// begins.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>

#include "worker/executor/executor_events.h"

namespace sluice {

// Thread-safe.
class EffectGate {
 public:
  // Held while the code runs.
  class Pass {
   public:
    Pass(EffectGate* gate, GenerationId generation) : gate_(gate), generation_(generation) {}
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass() {
      if (open_) gate_->Leave(generation_);
    }
    // False: the generation is over, nothing may be done for it. Asked once, before the code runs.
    [[nodiscard]] bool Enter() { return open_ = gate_->Enter(generation_); }

   private:
    EffectGate* const gate_;
    const GenerationId generation_;
    bool open_ = false;
  };

  // From now on nothing of an older generation begins.
  void Begin(GenerationId generation) {
    const std::lock_guard lock(mutex_);
    if (current_ < generation) current_ = generation;
  }
  // Blocks until nothing of a generation older than this one runs.
  void AwaitOlder(GenerationId generation) {
    std::unique_lock lock(mutex_);
    left_.wait(lock, [&] { return running_.empty() || running_.begin()->first >= generation; });
  }

 private:
  bool Enter(GenerationId generation) {
    const std::lock_guard lock(mutex_);
    if (generation < current_) return false;
    ++running_[generation];
    return true;
  }
  void Leave(GenerationId generation) {
    const std::lock_guard lock(mutex_);
    if (--running_[generation] == 0) running_.erase(generation);
    left_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable left_;
  GenerationId current_;
  std::map<GenerationId, int> running_;
};

}  // namespace sluice
