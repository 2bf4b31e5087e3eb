#include "checkpoint/witness_keeper.h"

#include <algorithm>

namespace sluice {

WitnessKeeper::~WitnessKeeper() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

absl::Status WitnessKeeper::Note(uint64_t length) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !writing_; });
  if (!failed_.ok()) {
    // What a disk had no room for is written again. Otherwise a second sync proves nothing.
    if (!absl::IsResourceExhausted(failed_)) return failed_;
    writing_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !writing_; });
    if (!failed_.ok()) return failed_;
  }
  noted_ = std::max(noted_.value_or(0), length);
  writing_ = true;
  changed_.notify_all();
  return absl::OkStatus();
}

std::optional<uint64_t> WitnessKeeper::length() const {
  std::lock_guard lock(mutex_);
  if (noted_.has_value() || writing_) return noted_;
  return witness_.length();
}

void WitnessKeeper::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return writing_ || ending_; });
    if (!writing_) return;
    const uint64_t length = *noted_;
    lock.unlock();
    const absl::Status status = witness_.Raise(length, sync_);
    lock.lock();
    failed_ = status;
    writing_ = false;
    changed_.notify_all();
  }
}

}  // namespace sluice
