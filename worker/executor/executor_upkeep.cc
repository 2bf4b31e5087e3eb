// The executor's core: merging layers, checkpoints, and repeating what may have been lost.
#include <algorithm>
#include <iterator>
#include <utility>

#include "common/fault_point.h"
#include "worker/executor/executor_core.h"

namespace sluice {

// ---- layers and checkpoints ------------------------------------------------------------------

void ExecutorCore::Merge() {
  if (Fires(FaultPoint::kMergeLater)) return;
  int64_t up_to = merged_ms_;
  auto flush = [&] {
    if (up_to > merged_ms_) out_.push_back(MergeLayers{up_to});
    merged_ms_ = up_to;
  };
  for (auto it = batches_.upper_bound(merged_ms_); it != batches_.end(); ++it) {
    const auto& [batch_ms, batch] = *it;
    bool known = false;
    Predecessor(batch, known);
    if (!known || !batch.finished || batch_ms > decided_ms_) break;
    const bool checkpoint = batch.granted->checkpoint() && batch_ms > abandoned_ms_;
    // One part is written at a time: what comes after waits below the next checkpoint.
    if (checkpoint && checkpoint_.has_value() && !checkpoint_->written) break;
    up_to = batch_ms;
    if (checkpoint) {
      flush();
      TakeCheckpoint(batch_ms);
    }
  }
  flush();
}

void ExecutorCore::TakeCheckpoint(int64_t batch_ms) {
  // One that is neither sealed nor abandoned by now is outlived by this one, which has its changes.
  if (checkpoint_.has_value()) out_.push_back(RestorePending{checkpoint_->batch_ms});
  checkpoint_.emplace();
  checkpoint_->batch_ms = batch_ms;
  out_.push_back(SnapshotAndWrite{generation_, batch_ms});
}

// What the job driver said of the checkpoint in progress.
void ExecutorCore::SettleCheckpoint() {
  if (!checkpoint_.has_value()) return;
  if (checkpoint_->written && sealed_ms_ >= checkpoint_->batch_ms) {
    out_.push_back(ForgetSealed{checkpoint_->batch_ms});
    checkpoint_.reset();
  } else if (abandoned_ms_ >= checkpoint_->batch_ms) {
    checkpoint_->abandoned = true;  // restored when its writer has ended
    if (!checkpoint_->written) return;
    out_.push_back(RestorePending{checkpoint_->batch_ms});
    checkpoint_.reset();
  }
}

// ---- what may be let go ----------------------------------------------------------------------

void ExecutorCore::Release() {
  while (!batches_.empty()) {
    const auto first = batches_.begin();
    if (!first->second.finished || first->first > merged_ms_ || !NobodyNeeds(first)) return;
    released_ms_ = first->first;
    batches_.erase(first);
  }
}

// Whether all members have what this batch has for them, and the job driver its report. A decided
// batch is proof; a batch that rebuilds state was decided long ago, so there it is a batch beyond
// that is decided, or every member's shares of the second batch after it, which it makes only
// when it has finished this one.
bool ExecutorCore::NobodyNeeds(std::map<int64_t, BatchWork>::const_iterator batch) const {
  if (!batch->second.granted->rebuild()) return true;
  auto later = std::next(batch);
  for (auto it = later; it != batches_.end(); ++it) {
    if (!it->second.granted->rebuild() && it->first <= decided_ms_) return true;
  }
  if (later == batches_.end() || ++later == batches_.end()) return false;
  for (uint32_t i = 0; i < members_.size(); ++i) {
    if (i != me_ && members_[i].highest_batch_ms < later->first) return false;
  }
  // No proof that the report arrived, but the report of a later batch says as much.
  return later->second.finished;
}

// ---- repeating -------------------------------------------------------------------------------

void ExecutorCore::Repeat() {
  constexpr int kReportsAtOnce = 16;
  constexpr int64_t kSealPauseMaxUs = 10'000'000;
  const MonotonicTime before = now_ - options_.answer_repeat_us;
  if (grant_done_sent_ != 0 && grant_done_sent_ <= before) SendGrantDone();
  if (load_again_at_ != 0 && load_again_at_ <= now_) {
    load_again_at_ = 0;
    out_.push_back(DropAllAndLoad{generation_, grant_, /*keep_state=*/false});
  }
  int reports = 0;
  for (auto& [batch_ms, batch] : batches_) {
    if (batch.reported && batch.report_sent <= before && ++reports <= kReportsAtOnce) {
      SendReport(batch);
    }
  }
  for (Seal& seal : seals_) {
    if (seal.due > now_) continue;
    seal.pause_us = std::min(2 * seal.pause_us, kSealPauseMaxUs);
    seal.due = now_ + seal.pause_us;
    out_.push_back(seal.command);
  }
  if (checkpoint_.has_value() && checkpoint_->written && checkpoint_->sent <= before) {
    proto::Envelope message;
    *message.mutable_checkpoint_part() = checkpoint_->part;
    SendToDriver(std::move(message));
    checkpoint_->sent = now_;
  }
  for (auto& [batch_ms, batch] : batches_) {
    if (batch.bundles_due == 0 || batch.bundles_due > now_) continue;
    batch.bundles_pause_us = std::min<int64_t>(2 * batch.bundles_pause_us, 60'000'000);
    batch.bundles_due = now_ + batch.bundles_pause_us;
    for (uint32_t i = 0; i < members_.size(); ++i) {
      for (const auto& chunk : batch.sent[i]) {
        out_.push_back(SendBundle{members_[i].info.address(), chunk});
      }
    }
  }
  for (uint32_t i = 0; i < members_.size(); ++i) {
    if (members_[i].resend_at != 0 && members_[i].resend_at <= now_) ResendTo(i);
  }
}

void ExecutorCore::ResendTo(uint32_t member) {
  members_[member].resend_at = 0;
  for (const auto& [batch_ms, batch] : batches_) {
    for (const auto& chunk : batch.sent[member]) {
      out_.push_back(SendBundle{members_[member].info.address(), chunk});
    }
  }
}

// Names the next time at which something is to be repeated or tried again.
void ExecutorCore::ScheduleWake() {
  MonotonicTime next = 0;
  auto at = [&](MonotonicTime time) {
    if (time != 0 && (next == 0 || time < next)) next = time;
  };
  const int64_t repeat = options_.answer_repeat_us;
  if (grant_done_sent_ != 0) at(grant_done_sent_ + repeat);
  at(load_again_at_);
  for (const Seal& seal : seals_) at(seal.due);
  if (checkpoint_.has_value() && checkpoint_->written) at(checkpoint_->sent + repeat);
  for (const Member& member : members_) at(member.resend_at);
  for (const auto& [batch_ms, batch] : batches_) {
    if (batch.reported) at(batch.report_sent + repeat);
    at(batch.bundles_due);
    for (const StageWork& stage : batch.stages) {
      if (stage.state == StageWork::State::kRetry) at(stage.retry_at);
    }
    for (const Stage& stage : plan_->stages()) at(CopiesDue(batch, stage));
  }
  if (next == 0 || (next == wake_at_ && next > now_)) return;
  wake_at_ = std::max(next, now_ + 1);
  out_.push_back(WakeAt{wake_at_});
}

// ---- to the job driver -----------------------------------------------------------------------

void ExecutorCore::SendGrantDone() {
  TellGrant(load_error_, /*may_pass=*/false);
  grant_done_sent_ = now_;
}

void ExecutorCore::TellGrant(const std::string& error, bool may_pass) {
  proto::Envelope message;
  proto::GrantDone& done = *message.mutable_grant_done();
  *done.mutable_generation() = WireGeneration();
  done.set_executor(options_.executor);
  done.set_error(error);
  done.set_may_pass(may_pass);
  done.set_delta_lost(!may_pass && delta_lost_);
  SendToDriver(std::move(message));
}

void ExecutorCore::SendToDriver(proto::Envelope message) {
  out_.push_back(Send{options_.job_driver, std::move(message)});
}

proto::Generation ExecutorCore::WireGeneration() const {
  proto::Generation generation;
  generation.set_epoch(generation_.epoch);
  generation.set_number(generation_.number);
  return generation;
}

}  // namespace sluice
