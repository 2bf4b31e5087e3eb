// The executor's core: what comes in. Stages are in executor_stages.cc, merging, checkpoints and
// repeats in executor_upkeep.cc.
#include "worker/executor/executor_core.h"

#include <algorithm>
#include <utility>

#include "common/mutations.h"
#include "worker/executor/grant_owners.h"

namespace sluice {
namespace {

// The batch as it was granted, its input to be read where the repeated grant says.
std::shared_ptr<const proto::GrantedBatch> WithHoldersOf(const proto::GrantedBatch& granted,
                                                         const proto::GrantedBatch& again) {
  auto batch = std::make_shared<proto::GrantedBatch>(granted);
  for (int s = 0; s < batch->stages_size() && s < again.stages_size(); ++s) {
    auto& stage = *batch->mutable_stages(s);
    for (int t = 0; t < stage.tasks_size() && t < again.stages(s).tasks_size(); ++t) {
      const auto& task = again.stages(s).tasks(t);
      const bool same = task.task() == stage.tasks(t).task() &&
                        task.pieces_size() == stage.tasks(t).pieces_size();
      if (same) *stage.mutable_tasks(t)->mutable_holders() = task.holders();
    }
  }
  return batch;
}

}  // namespace

ExecutorCore::ExecutorCore(ExecutorCoreOptions options, const StagePlan* plan)
    : options_(std::move(options)), plan_(plan) {}

ExecutorCore::Commands ExecutorCore::Step(MonotonicTime now, ExecutorEvent event) {
  now_ = now;
  out_.clear();
  std::visit([this](auto& e) { On(e); }, event);
  Advance();
  if (options_.straggler_copies) AskForCopies();
  Merge();
  Release();
  ScheduleWake();
  return std::move(out_);
}

// ---- generations -----------------------------------------------------------------------------

void ExecutorCore::On(GrantIn& event) {
  const proto::Grant& grant = event.grant;
  const GenerationId generation = IdOf(grant.generation());
  if (grant.job_instance() != options_.job_instance || generation < generation_) return;
  if (generation == generation_) {
    if (loaded_) SendGrantDone();
    return;
  }
  std::vector<Member> members;
  const uint32_t former_place = me_;
  bool among_them = false;
  for (const auto& info : grant.members()) {
    if (info.executor() == options_.executor) {
      me_ = static_cast<uint32_t>(members.size());
      among_them = true;
    }
    members.push_back({info, 0, 0, 0});
  }
  if (!among_them) return;  // it is not for us

  // A faulty executor can keep only what it still owns.
  const bool keep_layers = kMutationLayersKept && members_.size() == members.size() &&
                           former_place == me_ && grant.apart().empty();
  generation_ = generation;
  members_ = std::move(members);
  owners_ = OwnersUnder(grant);
  loaded_ = false;
  load_error_.clear();
  delta_lost_ = false;
  load_again_at_ = 0;
  grant_ = grant;
  grant_done_sent_ = 0;
  batches_.clear();
  shares_.Clear();
  checkpoint_.reset();
  sealed_ms_ = grant.manifest_batch_ms();
  released_ms_ = merged_ms_ = decided_ms_ = std::max(sealed_ms_, grant.state_ms());
  abandoned_ms_ = effects_ms_ = 0;
  out_.push_back(DropAllAndLoad{generation, std::move(event.grant), keep_layers});
  ReplayHeld();
}

// Keeps a message of a generation that is yet to come. When there is no room the oldest goes:
// whoever sent it will send it again.
bool ExecutorCore::Hold(GenerationId generation, ExecutorEvent event, uint64_t bytes) {
  if (generation <= generation_) return false;
  held_.push_back({generation, std::move(event), bytes});
  held_bytes_ += bytes;
  while (held_bytes_ > options_.held_bytes_max && !held_.empty()) {
    held_bytes_ -= held_.front().bytes;
    held_.pop_front();
  }
  return true;
}

void ExecutorCore::ReplayHeld() {
  std::deque<Held> held;
  held.swap(held_);
  held_bytes_ = 0;
  for (Held& message : held) {
    if (message.generation < generation_) continue;
    std::visit([this](auto& e) { On(e); }, message.event);
  }
}

void ExecutorCore::On(StateLoaded& event) {
  if (event.generation != generation_ || loaded_) return;
  if (!event.error.empty() && !event.damaged && !event.delta_lost) {
    load_again_at_ = now_ + options_.answer_repeat_us;
    return TellGrant(event.error, /*may_pass=*/true);
  }
  load_error_ = event.error;
  delta_lost_ = event.delta_lost;
  loaded_ = event.error.empty();
  grant_.Clear();
  SendGrantDone();
}

bool ExecutorCore::IsMember(uint32_t executor) const {
  return std::any_of(members_.begin(), members_.end(),
                     [&](const Member& m) { return m.info.executor() == executor; });
}

// ---- batches and shares ----------------------------------------------------------------------

void ExecutorCore::On(BatchGrantIn& event) {
  const GenerationId generation = IdOf(event.grant.generation());
  if (generation != generation_) {
    const uint64_t bytes = event.grant.ByteSizeLong();
    Hold(generation, std::move(event), bytes);
    return;
  }
  grant_done_sent_ = 0;
  for (const proto::GrantedBatch& granted : event.grant.batches()) TakeBatch(granted);
  decided_ms_ = std::max(decided_ms_, event.grant.decided_ms());
  sealed_ms_ = std::max(sealed_ms_, event.grant.sealed_ms());
  effects_ms_ = std::max(effects_ms_, event.grant.effects_ms());
  abandoned_ms_ = std::max(abandoned_ms_, event.grant.abandoned_checkpoint_ms());
  SettleCheckpoint();
  for (const proto::TaskCopy& copy : event.grant.copies()) TakeCopy(copy);
}

void ExecutorCore::TakeBatch(const proto::GrantedBatch& granted) {
  const int64_t batch_ms = granted.batch_ms();
  if (batch_ms <= released_ms_) return;
  const auto known = batches_.find(batch_ms);
  if (known != batches_.end()) {
    // Whoever asks again has not got the report; or the input lies elsewhere by now.
    if (known->second.reported) return SendReport(known->second);
    known->second.granted = WithHoldersOf(*known->second.granted, granted);
    return;
  }
  BatchWork& batch = batches_[batch_ms];
  batch.granted = std::make_shared<const proto::GrantedBatch>(granted);
  std::vector<StageId> absent;
  for (const auto& source : granted.stages()) {
    if (source.no_dataset()) absent.push_back(source.stage());
  }
  std::vector<StageId> fed;
  for (const auto& letter : granted.letters()) fed.push_back(letter.stage());
  const int64_t tick = (batch_ms - options_.zero_ms) / options_.batch_interval_ms;
  batch.presence = std::make_shared<const Presence>(*plan_, tick, absent, fed);
  batch.started = now_;
  batch.stages.resize(plan_->stages().size());
  batch.sent.resize(members_.size());
  batch.bundles_pause_us = options_.bundle_repeat_us;
  *batch.report.mutable_generation() = WireGeneration();
  batch.report.set_batch_ms(batch_ms);
  batch.report.set_executor(options_.executor);
}

void ExecutorCore::On(BundleIn& event) {
  const proto::ShareBundle& bundle = *event.bundle;
  if (bundle.job_instance() != options_.job_instance) return;
  const GenerationId generation = IdOf(bundle.generation());
  if (generation > generation_) {
    const uint64_t bytes = bundle.ByteSizeLong();
    Hold(generation, std::move(event), bytes);
    return;
  }
  if (generation < generation_ && !kMutationOldShareAccepted) return;
  TakeBundle(std::move(event.bundle));
}

void ExecutorCore::TakeBundle(std::shared_ptr<const proto::ShareBundle> bundle) {
  const int64_t batch_ms = bundle->batch_ms();
  if (!IsMember(bundle->from_executor())) return;
  for (Member& member : members_) {
    if (member.info.executor() != bundle->from_executor()) continue;
    member.highest_batch_ms = std::max(member.highest_batch_ms, batch_ms);
    member.pause_us = 0;
  }
  const auto batch = batches_.find(batch_ms);
  const bool over = batch != batches_.end() ? batch->second.finished : batch_ms <= released_ms_;
  if (!over && !shares_.Add(bundle)) return;
  if (batch != batches_.end()) OnBundleTaken(batch->second, *bundle);
}

void ExecutorCore::On(TasksEnded& event) {
  const auto it = batches_.find(event.batch_ms);
  if (event.generation != generation_ || it == batches_.end()) return;
  BatchWork& batch = it->second;
  if (event.copy) return OnCopyEnded(batch, event);
  StageWork& work = batch.stages[event.stage];
  if (work.state != StageWork::State::kRunning) return;
  work.took_us += now_ - work.launched;
  batch.report.set_busy_us(batch.report.busy_us() + now_ - work.launched);
  for (const uint32_t task : event.left) TakeTaken(batch, event.stage, task);
  for (TaskResult& result : event.results) work.results.push_back(std::move(result));
  work.again.clear();
  bool wait = false;
  for (const FailedTask& failed : event.failed) {
    if (TakeTaken(batch, event.stage, failed.task)) continue;
    work.again.push_back(failed.task);
    if (!failed.own_fault) {
      wait = true;
    } else if (++work.failures[failed.task] >= options_.task_max_failures) {
      work.state = StageWork::State::kFailed;
      FailBatch(batch, failed.failure);
      return;
    }
  }
  if (work.again.empty()) {
    FinishStage(batch, plan_->stages()[event.stage]);
    return;
  }
  work.state = StageWork::State::kRetry;
  work.retry_at = wait ? now_ + options_.input_retry_us : now_;
}

// ---- checkpoints and links -------------------------------------------------------------------

void ExecutorCore::On(PartWritten& event) {
  if (event.generation != generation_ || !checkpoint_.has_value() || checkpoint_->written ||
      checkpoint_->batch_ms != event.batch_ms) {
    return;
  }
  checkpoint_->written = true;
  if (checkpoint_->abandoned) {
    out_.push_back(RestorePending{event.batch_ms});
    checkpoint_.reset();
    return;
  }
  proto::CheckpointPart& part = checkpoint_->part;
  *part.mutable_generation() = WireGeneration();
  part.set_batch_ms(event.batch_ms);
  part.set_executor(options_.executor);
  part.set_error(event.error);
  part.set_bytes(event.bytes);
  for (auto& piece : event.pieces) *part.add_pieces() = std::move(piece);
  proto::Envelope message;
  *message.mutable_checkpoint_part() = part;
  SendToDriver(std::move(message));
  checkpoint_->sent = now_;  // and again, a failure too, until it is sealed or abandoned
  if (kMutationChangesForgottenEarly && event.error.empty()) {
    out_.push_back(ForgetSealed{event.batch_ms});
  }
}

void ExecutorCore::On(DeltaSealed& event) {
  std::erase_if(seals_, [&](const Seal& seal) {
    if (seal.command.name.number() != event.number) return false;
    unsealed_bytes_ -= seal.bytes;
    return true;
  });
  // It takes some again: what it has not of the others may be lost.
  for (Seal& seal : seals_) {
    seal.pause_us = options_.answer_repeat_us;
    seal.due = std::min(seal.due, now_ + seal.pause_us);
  }
}

void ExecutorCore::On(LinkLost& event) {
  if (event.address == options_.job_driver) {
    // What is unanswered goes out again with the next wake-up.
    const MonotonicTime long_ago = now_ - options_.answer_repeat_us + options_.link_retry_us;
    for (auto& [batch_ms, batch] : batches_) {
      if (batch.reported) batch.report_sent = std::min(batch.report_sent, long_ago);
    }
    if (grant_done_sent_ != 0) grant_done_sent_ = long_ago;
    if (checkpoint_.has_value()) checkpoint_->sent = std::min(checkpoint_->sent, long_ago);
  }
  for (uint32_t i = 0; i < members_.size(); ++i) {
    Member& member = members_[i];
    if (i == me_ || member.info.address() != event.address) continue;
    if (member.resend_at == 0) {
      member.pause_us = std::clamp<int64_t>(2 * member.pause_us, options_.link_retry_us, 2'000'000);
      member.resend_at = now_ + member.pause_us;
    }
    if (!event.down) continue;
    proto::Envelope message;
    proto::SuspectPeer& suspect = *message.mutable_suspect_peer();
    suspect.set_executor(options_.executor);
    suspect.set_peer_executor(member.info.executor());
    *suspect.mutable_generation() = WireGeneration();
    SendToDriver(std::move(message));
  }
}

void ExecutorCore::On(WakeUp&) { Repeat(); }

}  // namespace sluice
