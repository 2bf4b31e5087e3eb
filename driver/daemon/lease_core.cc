#include "driver/daemon/lease_core.h"

#include <algorithm>
#include <utility>

namespace sluice::daemon::lease {

std::vector<Command> Core::Step(MonotonicTime now, const Event& event) {
  now_ = now;
  std::visit([this](const auto& e) { On(e); }, event);
  return std::exchange(out_, {});
}

void Core::On(const Turn&) {
  if (asked_ || role_ == Role::kTakingOver || role_ == Role::kEnded) return;
  const bool due = now_ >= next_ || (leads() && !Sure(now_));
  if (!due) return;
  asked_ = true;
  if (leads()) {
    out_.emplace_back(Renew{});
  } else {
    out_.emplace_back(Look{});
  }
}

void Core::On(const Seen& seen) {
  asked_ = false;
  if (role_ != Role::kStandby) return;
  next_ = now_ + renew_us();
  // A record of an epoch that has been overtaken is no sign of its leader's life.
  const bool fresh = !slot_ || (seen.slot != *slot_ && seen.epoch >= epoch_);
  if (fresh) {
    slot_ = seen.slot;
    slot_since_ = now_;
  }
  if (seen.epoch > epoch_) leader_.clear();
  if (seen.epoch >= epoch_ && seen.entry) leader_ = seen.resigned ? "" : seen.address;
  epoch_ = std::max(epoch_, seen.epoch);
  // An entry of ours that is the newest is of a former process, or of this one, which then lost
  // touch and was not replaced.
  const bool own = seen.node == options_.node && seen.address == options_.address;
  const bool ended = seen.entry && (seen.resigned || own);
  if (seen.slot != 0 && !ended && seen.begun - slot_since_ < patience()) return;
  role_ = Role::kTakingOver;
  asked_ = true;
  out_.emplace_back(OpenEpoch{seen.slot});
}

void Core::On(const LookFailed&) {
  asked_ = false;
  next_ = now_ + renew_us();
}

void Core::On(const Opened& opened) {
  asked_ = false;
  role_ = Role::kLeader;
  epoch_ = opened.epoch;
  sure_until_ = opened.begun + options_.lease_us;
  out_.emplace_back(Lead{epoch_});
  asked_ = true;
  out_.emplace_back(Renew{});  // which tells the others
}

// Whoever else opened one is given the time to speak.
void Core::On(const OpenFailed&) {
  asked_ = false;
  role_ = Role::kStandby;
  slot_.reset();
  next_ = now_ + renew_us();
}

void Core::On(const Appended& appended) {
  asked_ = false;
  if (!leads()) return;
  sure_until_ = std::max(sure_until_, appended.begun + options_.lease_us);
  next_ = appended.begun + renew_us();
}

void Core::On(const AppendStalled&) {
  asked_ = false;
  if (!leads()) return;
  if (!Sure(now_)) return StandBy("its store has been out of reach for a lease");
  next_ = now_ + renew_us() / 4;
}

void Core::On(const Fenced&) {
  asked_ = false;
  if (leads()) StandBy("another driver has taken over");
}

void Core::On(const Resigned&) {
  role_ = Role::kEnded;
  leader_.clear();
}

void Core::StandBy(const std::string& why) {
  role_ = Role::kStandby;
  slot_.reset();
  leader_.clear();
  next_ = now_;
  out_.emplace_back(Follow{why});
}

}  // namespace sluice::daemon::lease
