// The end of a process whose job has failed: in order, unless a function of the program never
// returns.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace sluice {

// Lives while things are stopped in order. If it is still there after `patience`, `last_word` is
// called on a thread of its own and the process ends with `code`, without destructors.
class EndInTime {
 public:
  EndInTime(std::chrono::milliseconds patience, int code, std::function<void()> last_word);
  ~EndInTime();
  EndInTime(const EndInTime&) = delete;
  EndInTime& operator=(const EndInTime&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread watcher_;
};

// Of a job that has failed; nobody gets its name meanwhile.
inline constexpr std::chrono::seconds kEndPatience{5};

}  // namespace sluice
