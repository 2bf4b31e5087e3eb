#include "common/net/grpc_link.h"

#include <glog/logging.h>

#include <utility>

#include "common/net/credentials.h"
#include "common/net/grpc_attempt.h"

namespace sluice::internal {
namespace {

constexpr int64_t kRetryUs = 10'000;

}  // namespace

// ---- any thread ---------------------------------------------------------------------------

bool OutLink::Send(proto::Envelope&& message) {
  const uint64_t bytes = message.ByteSizeLong();
  if (bytes > kMessageBytesMax) {
    // The peer would break the link at it, and again when it is sent again.
    LOG(ERROR) << "message not sent: it has " << bytes << " bytes and a peer takes "
               << kMessageBytesMax << ": kind=" << message.message_case() << " peer=" << address_;
    return true;
  }
  std::unique_lock lock(mutex_);
  if (retired_) return false;
  if (closing_ || overflowed_) return true;
  queued_bytes_ += bytes;
  queue_.push_back(std::make_shared<const proto::Envelope>(std::move(message)));
  if (queued_bytes_ > core_->options().queued_bytes_max && queue_.size() > 1) {
    overflowed_ = true;
    core_->loop().PostNow([self = shared_from_this()] { self->Abandon(); });
  } else if (Writable()) {
    WriteNext(lock);
  } else if (!active_) {
    lock.unlock();
    Open();
  }
  return true;
}

bool OutLink::Open() {
  {
    std::lock_guard lock(mutex_);
    if (retired_) return false;
    if (active_ || closing_) return true;
    active_ = true;
  }
  core_->loop().PostNow([self = shared_from_this()] {
    self->ArmTimer(self->core_->options().connect_us);
    self->Begin();
  });
  return true;
}

bool OutLink::Retire() {
  std::lock_guard lock(mutex_);
  if (!active_ && queue_.empty()) retired_ = true;
  return retired_;
}

void OutLink::Close(bool by_force) {
  std::unique_lock lock(mutex_);
  closing_ = true;
  if (attempt_ == nullptr) return;
  if (by_force || (!attempt_->link_state.established && queue_.empty())) {
    attempt_->Cancel();
  } else if (Writable()) {
    WriteNext(lock);
  }
}

void OutLink::Bury() {
  std::shared_ptr<Attempt> attempt;  // destroyed after the lock is given back
  std::lock_guard lock(mutex_);
  attempt.swap(attempt_);
}

bool OutLink::Writable() const {
  return attempt_ != nullptr && attempt_->link_state.established && !attempt_->link_state.writing;
}

// Called when writable. The attempt cannot end meanwhile: its hold stays while it is writing, and
// half-closing happens under the lock. The message is encoded before StartWrite returns.
void OutLink::WriteNext(std::unique_lock<std::mutex>& lock) {
  if (queue_.empty()) {
    if (closing_ && !attempt_->link_state.half_closed) {
      attempt_->link_state.half_closed = true;
      attempt_->StartWritesDone();
    }
    return;
  }
  attempt_->link_state.writing = true;
  const std::shared_ptr<Attempt> attempt = attempt_;
  std::shared_ptr<const proto::Envelope> message = queue_.front();
  lock.unlock();
  attempt->StartWrite(message.get());
}

// ---- gRPC's threads -----------------------------------------------------------------------

void OutLink::Established(Attempt* attempt) {
  core_->loop().PostNow([self = shared_from_this(), attempt = attempt->shared_from_this()] {
    std::unique_lock lock(self->mutex_);
    if (self->attempt_ != attempt || !attempt->link_state.established) return;
    self->core_->loop().Cancel(self->timer_);
    const bool was_reset = std::exchange(self->reopening_, false);
    lock.unlock();
    if (was_reset) self->core_->OnLinkReset(self->address_);
  });
  std::unique_lock lock(mutex_);
  if (attempt_.get() != attempt || attempt->link_state.read_failed) return;
  attempt->link_state.established = true;
  WriteNext(lock);
}

void OutLink::WriteDone(Attempt* attempt, bool ok) {
  std::shared_ptr<const proto::Envelope> written;  // freed after the lock is given back
  std::unique_lock lock(mutex_);
  attempt->link_state.writing = false;
  const bool current = attempt_.get() == attempt;
  if (ok && current) {
    written = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= written->ByteSizeLong();
  }
  if (attempt->link_state.read_failed) {
    lock.unlock();
    attempt->RemoveHold();
  } else if (ok && current) {
    WriteNext(lock);
  }  // else the read is about to fail, too
}

void OutLink::ReadFailed(Attempt* attempt) {
  std::unique_lock lock(mutex_);
  attempt->link_state.read_failed = true;
  attempt->link_state.established = false;
  const bool drop_hold = !attempt->link_state.writing;
  lock.unlock();
  if (drop_hold) attempt->RemoveHold();
}

void OutLink::Ended(std::shared_ptr<Attempt> attempt, End end) {
  // The attempt is destroyed on the loop: gRPC is not to end a channel inside its own callback.
  core_->loop().PostNow(
      [self = shared_from_this(), attempt = std::move(attempt), end = std::move(end)]() mutable {
        {
          std::lock_guard lock(self->mutex_);
          if (self->attempt_ != attempt) return;  // abandoned before
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
  }
  attempt->Start();
}

void OutLink::Lost(const End& end) {
  {
    std::lock_guard lock(mutex_);
    if (closing_) return;
  }
  if (end.denied) {
    LOG(ERROR) << "link denied: " << end.why << " peer=" << address_;
    core_->OnPeerDenied(address_, end.why);
    return Down(false);
  }
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
  {
    std::lock_guard lock(mutex_);
    if (attempt_ != nullptr && attempt_->link_state.established) return;
  }
  Abandon();
}

// gRPC may take long to end a call whose peer reads nothing; nobody waits for it.
void OutLink::Abandon() {
  core_->loop().Cancel(retry_);
  std::shared_ptr<Attempt> attempt;
  {
    std::lock_guard lock(mutex_);
    if (!active_ || closing_) return;
    attempt.swap(attempt_);
  }
  if (attempt != nullptr) attempt->Cancel();
  Down(false);
}

void OutLink::Down(bool refused) {
  core_->loop().Cancel(timer_);
  reopening_ = false;
  std::deque<std::shared_ptr<const proto::Envelope>> dropped;
  {
    std::lock_guard lock(mutex_);
    dropped.swap(queue_);
    queued_bytes_ = 0;
    active_ = overflowed_ = false;
  }
  core_->Forget(address_);
  core_->OnPeerDown(address_, refused);
}

}  // namespace sluice::internal
