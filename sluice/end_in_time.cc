#include "sluice/end_in_time.h"

#include <unistd.h>

#include <utility>

namespace sluice {

EndInTime::EndInTime(std::chrono::milliseconds patience, int code,
                     std::function<void()> last_word) {
  watcher_ = std::thread([this, patience, code, last_word = std::move(last_word)] {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, patience, [this] { return over_; })) return;
    last_word();
    _exit(code);
  });
}

EndInTime::~EndInTime() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  watcher_.join();
}

}  // namespace sluice
