#include "common/net/grpc_link.h"

#include <glog/logging.h>

#include <utility>

#include "common/net/grpc_attempt.h"

namespace sluice::internal {
namespace {

constexpr int64_t kRetryUs = 10'000;

}  // namespace

// ---- any thread ---------------------------------------------------------------------------

void OutLink::Send(proto::Envelope message) {
  std::unique_lock lock(mutex_);
  if (closing_ || overflowed_) return;
  queued_bytes_ += message.ByteSizeLong();
  queue_.push_back(std::move(message));
  if (queued_bytes_ > core_->options().queued_bytes_max && queue_.size() > 1) {
    overflowed_ = true;
    if (attempt_ != nullptr) attempt_->Cancel();
  } else if (established_ && !writing_) {
    WriteNext(lock);
  } else if (!active_) {
    lock.unlock();
    Open();
  }
}

void OutLink::Open() {
  {
    std::lock_guard lock(mutex_);
    if (active_ || closing_) return;
    active_ = true;
  }
  core_->loop().PostNow([self = shared_from_this()] {
    self->ArmTimer(self->core_->options().connect_us);
    self->Begin();
  });
}

void OutLink::Close(bool by_force) {
  std::unique_lock lock(mutex_);
  closing_ = true;
  if (attempt_ == nullptr) return;
  if (by_force || (!established_ && queue_.empty())) {
    attempt_->Cancel();
  } else if (established_ && !writing_) {
    WriteNext(lock);
  }
}

// Called when established and not writing. The attempt cannot end meanwhile: its hold stays while
// writing_, and half-closing happens under the lock.
void OutLink::WriteNext(std::unique_lock<std::mutex>& lock) {
  if (queue_.empty()) {
    if (closing_ && !half_closed_) {
      half_closed_ = true;
      attempt_->StartWritesDone();
    }
    return;
  }
  writing_ = true;
  const proto::Envelope* message = &queue_.front();
  Attempt* attempt = attempt_.get();
  lock.unlock();
  attempt->StartWrite(message);
}

// ---- gRPC's threads -----------------------------------------------------------------------

void OutLink::Established(Attempt* attempt) {
  core_->loop().PostNow([self = shared_from_this(), attempt] {
    std::unique_lock lock(self->mutex_);
    if (self->attempt_.get() != attempt || self->read_failed_) return;
    self->core_->loop().Cancel(self->timer_);
    const bool was_reset = std::exchange(self->reopening_, false);
    lock.unlock();
    if (was_reset) self->core_->OnLinkReset(self->address_);
  });
  std::unique_lock lock(mutex_);
  if (attempt_.get() != attempt || read_failed_) return;
  established_ = true;
  WriteNext(lock);
}

void OutLink::WriteDone(Attempt* attempt, bool ok) {
  proto::Envelope written;  // freed after the lock is given back
  std::unique_lock lock(mutex_);
  writing_ = false;
  if (ok) {
    written = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= written.ByteSizeLong();
  }
  if (read_failed_) {
    lock.unlock();
    attempt->RemoveHold();
  } else if (ok) {
    WriteNext(lock);
  }  // else the read is about to fail, too
}

void OutLink::ReadFailed(Attempt* attempt) {
  std::unique_lock lock(mutex_);
  read_failed_ = true;
  established_ = false;
  const bool drop_hold = !writing_;
  lock.unlock();
  if (drop_hold) attempt->RemoveHold();
}

void OutLink::Ended(std::shared_ptr<Attempt> attempt, End end) {
  // The attempt is destroyed on the loop: gRPC is not to end a channel inside its own callback.
  core_->loop().PostNow(
      [self = shared_from_this(), attempt = std::move(attempt), end = std::move(end)]() mutable {
        {
          std::lock_guard lock(self->mutex_);
          self->attempt_ = nullptr;
        }
        attempt = nullptr;
        self->Lost(end);
      });
}

// ---- the core's loop ----------------------------------------------------------------------

void OutLink::Begin() {
  auto attempt = std::make_shared<Attempt>(core_->shared_from_this(), shared_from_this());
  {
    std::lock_guard lock(mutex_);
    if (closing_ && queue_.empty()) return;
    attempt_ = attempt;
    established_ = writing_ = read_failed_ = half_closed_ = false;
  }
  attempt->Start();
}

void OutLink::Lost(const End& end) {
  bool overflowed, closing;
  {
    std::lock_guard lock(mutex_);
    overflowed = overflowed_;
    closing = closing_;
  }
  if (closing) return;
  if (end.denied) LOG(ERROR) << "link denied: " << end.why << " peer=" << address_;
  if (overflowed || end.denied) return Down(false);
  if (end.established) {
    reopening_ = true;
    ArmTimer(core_->options().reconnect_us);
    return Begin();
  }
  if (end.refused) return Down(true);
  if (!reopening_) {
    LOG(WARNING) << "link not established: " << end.why << " peer=" << address_;
    return Down(false);
  }
  retry_ = core_->loop().RunAfter(kRetryUs, [self = shared_from_this()] { self->Begin(); });
}

void OutLink::ArmTimer(int64_t microseconds) {
  core_->loop().Cancel(timer_);
  timer_ = core_->loop().RunAfter(microseconds, [self = shared_from_this()] { self->GiveUp(); });
}

void OutLink::GiveUp() {
  reopening_ = false;
  bool between_attempts;
  {
    std::lock_guard lock(mutex_);
    if (established_) return;
    between_attempts = attempt_ == nullptr;
    if (!between_attempts) attempt_->Cancel();  // its end is then the link's
  }
  if (between_attempts && core_->loop().Cancel(retry_)) Down(false);
}

void OutLink::Down(bool refused) {
  core_->loop().Cancel(timer_);
  reopening_ = false;
  std::deque<proto::Envelope> dropped;
  {
    std::lock_guard lock(mutex_);
    dropped.swap(queue_);
    queued_bytes_ = 0;
    active_ = overflowed_ = false;
  }
  core_->OnPeerDown(address_, refused);
}

}  // namespace sluice::internal
