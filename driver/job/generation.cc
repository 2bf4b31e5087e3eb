// Generations of the job driver's core: every change of membership starts a new one, in which
// everybody goes back to the last sealed checkpoint (design section 7, recovery by rollback).
#include "absl/strings/str_cat.h"
#include "driver/job/job_driver_core.h"

namespace sluice {
namespace {

constexpr MonotonicTime kGrantAgainUs = 1'000'000;

}  // namespace

void JobDriverCore::AdvanceGeneration(MonotonicTime now) {
  if (new_generation_wanted_ && phase_ != Phase::kForming && members_.Settled(now)) {
    phase_ = Phase::kForming;  // a member more: worth a rollback, once it is up
  }
  const bool decision_in_flight =
      log_.durable().last_decided_ms() != state_.last_decided_ms();
  if (phase_ == Phase::kForming && new_generation_wanted_ && members_.Settled(now) &&
      !decision_in_flight && !keeper_.busy()) {
    StartGeneration(now);
  }
  if (phase_ == Phase::kGranting && now - grant_sent_ > kGrantAgainUs) SendGrants(now);
}

void JobDriverCore::StartGeneration(MonotonicTime now) {
  new_generation_wanted_ = false;
  ++generation_;
  checkpointer_.Abandon(now);
  suspicions_.Clear();
  if (!members_.apart_wanted()) members_.EndApart(now, out_);
  grant_.Clear();
  grant_.mutable_generation()->set_epoch(epoch_);
  grant_.mutable_generation()->set_number(generation_);
  grant_.set_job_instance(state_.job().job_instance());
  for (const ExecutorEntry* executor : members_.ReadyTaskExecutors()) {
    auto& member = *grant_.add_members();
    member.set_executor(executor->id);
    member.set_address(executor->address);
    member.set_slots(executor->apart ? 0 : executor->slots);
    member.set_worker_id(executor->worker_id);
    if (executor->apart) SetApart(static_cast<uint32_t>(grant_.members_size()) - 1);
  }
  grant_.set_manifest_batch_ms(checkpointer_.chains_ms());
  for (const auto& [key, parts] : checkpointer_.chains()) {
    auto& chain = *grant_.add_chains();
    chain.set_operator_name(key.first);
    chain.set_partition(key.second);
    chain.set_partitions(checkpointer_.FormerPartitions(key.first));
    for (const std::string& part : parts) chain.add_parts(part);
  }
  runner_->Begin(grant_);
  grant_waiting_.clear();
  for (const auto& member : grant_.members()) grant_waiting_.insert(member.executor());
  phase_ = Phase::kGranting;
  SendGrants(now);
  out_.push_back(Say{Say::Level::kInfo,
                     absl::StrCat("generation ", generation_, " of epoch ", epoch_, ": ",
                                  grant_.members_size(), " executors, from checkpoint ",
                                  checkpointer_.chains_ms(), ", decided ",
                                  state_.last_decided_ms())});
}

// Suspects that are partitions move for the whole generation, with their state; those that are
// map tasks only in their batch, as the runner hands them out.
void JobDriverCore::SetApart(uint32_t member) {
  for (const TaskName& task : blame_.suspects()) {
    if (task.stage >= plan_->stages().size()) continue;
    auto& apart = *grant_.add_apart();
    apart.set_stage(task.stage);
    apart.set_partition(task.task);
    apart.set_member(member);
    apart.set_batch_ms(plan_->stages()[task.stage].is_source ? task.batch_ms : 0);
  }
}

void JobDriverCore::SendGrants(MonotonicTime now) {
  grant_sent_ = now;
  for (const auto& member : grant_.members()) {
    if (!grant_waiting_.contains(member.executor())) continue;
    Send send{member.address(), {}};
    *send.message.mutable_grant() = grant_;
    out_.push_back(std::move(send));
  }
}

void JobDriverCore::OnGrantDone(MonotonicTime now, const proto::GrantDone& done) {
  if (phase_ != Phase::kGranting || done.generation().number() != generation_ ||
      done.generation().epoch() != epoch_) {
    return;
  }
  if (!done.error().empty()) {
    SetAside(absl::StrCat("executor ", done.executor(), " cannot load the checkpoint of batch ",
                          checkpointer_.chains_ms(), ": ", done.error()));
    return;
  }
  grant_waiting_.erase(done.executor());
  if (grant_waiting_.empty()) RunGeneration(now);
}

// Decided batches since the checkpoint rebuild the state; undecided ones run whole.
void JobDriverCore::RunGeneration(MonotonicTime now) {
  phase_ = Phase::kRunning;
  told_ = {};
  for (const auto& [batch_ms, composition] : state_.planned()) {
    if (batch_ms <= checkpointer_.chains_ms()) continue;
    const bool rebuild = batch_ms <= state_.last_decided_ms();
    if (rebuild && !stateful()) continue;
    // A driver that only finishes what was planned leaves a checkpoint of all of it.
    const bool checkpoint =
        options_.finish_only && batch_ms == state_.last_planned_ms() && grant_.members_size() > 0;
    if (checkpoint) {
      std::set<uint32_t> executors;
      for (const auto& member : grant_.members()) executors.insert(member.executor());
      checkpointer_.Begin(now, batch_ms, std::move(executors));
    }
    runner_->Add(batch_ms, rebuild, checkpoint);
    if (!rebuild) events_->Submitted(now, composition, out_);
  }
  if (!ticks_.started()) {
    const int64_t wall_ms = wall_ms_ + (now - wall_seen_) / 1000;
    ticks_.Start(now, wall_ms, state_.job().zero_ms(), state_.last_planned_ms());
  }
  ever_ran_ = true;
}

}  // namespace sluice
