// Generations of the job driver's core: every change of membership starts a new one, in which
// everybody goes back to the last sealed checkpoint, and from there to the last decided batch by
// deltas or by running the batches between again (design section 7).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/fault_point.h"
#include "common/mutations.h"
#include "common/plan/kernel.h"
#include "driver/job/job_driver_core.h"

namespace sluice {
namespace {

constexpr MonotonicTime kGrantAgainUs = 1'000'000;
// An executor may have to read all of them, and holds what is of its partitions while it loads.
constexpr uint64_t kDeltasBytesMax = uint64_t{4} << 30;

}  // namespace

void JobDriverCore::AdvanceGeneration(MonotonicTime now) {
  if (phase_ == Phase::kRunning && Fires(FaultPoint::kGenerationUnneeded)) {
    new_generation_wanted_ = true;
    phase_ = Phase::kForming;
  }
  if (new_generation_wanted_ && phase_ != Phase::kForming && members_.Settled(now)) {
    phase_ = Phase::kForming;  // a member more: worth a rollback, once it is up
  }
  const bool decision_in_flight =
      log_.durable().last_decided_ms() != state_.last_decided_ms();
  if (phase_ == Phase::kForming && new_generation_wanted_ && members_.Settled(now) &&
      !decision_in_flight && (cancel_ || !keeper_.busy()) && !Fires(FaultPoint::kFormLater)) {
    StartGeneration(now);
  }
  if (phase_ == Phase::kGranting) JudgeLoads(now);
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
  NameDeltas();
  // Run again, batches may leave another state than they left before: it is not what the deltas
  // that are kept were made on.
  const bool again =
      state_.last_decided_ms() > std::max(checkpointer_.chains_ms(), grant_.state_ms());
  branch_ = again ? FenceOf(epoch_, generation_) : checkpointer_.chains_branch();
  if (again && options_.deltas) checkpointer_.ForceNext();  // before it they are of no use
  runner_->Begin(grant_);
  loads_.Begin(now, grant_);
  phase_ = Phase::kGranting;
  SendGrants(now);
  out_.push_back(Say{Say::Level::kInfo,
                     absl::StrCat("generation ", generation_, " of epoch ", epoch_, ": ",
                                  grant_.members_size(), " executors, from checkpoint ",
                                  checkpointer_.chains_ms(), ", decided ",
                                  state_.last_decided_ms(),
                                  grant_.deltas_size() > 0 ? ", by deltas" : "")});
}

// Why the decided batches behind the checkpoint must run again; empty: their deltas will do.
std::string JobDriverCore::WhyNoDeltas() const {
  const int64_t from_ms = checkpointer_.chains_ms();
  uint64_t bytes = 0;
  if (checkpointer_.spreads()) return "the checkpoint is in another number of partitions";
  if (from_ms < deltas_lost_ms_) return "an executor could not read all of them";
  for (auto it = state_.planned().upper_bound(from_ms);
       it != state_.planned().end() && it->first <= state_.last_decided_ms(); ++it) {
    const auto batch = state_.decided().find(it->first);
    const bool whole =
        batch != state_.decided().end() && batch->second.decided.deltas_whole();
    if (!whole) return absl::StrCat("those of batch ", it->first, " are not whole");
    if (batch->second.decided.branch() != checkpointer_.chains_branch() &&
        !kMutationBranchesMixed) {
      return absl::StrCat("those of batch ", it->first, " and the checkpoint are of two runs of "
                          "the batches before");
    }
    for (const auto& delta : batch->second.decided.deltas()) {
      if (blocks_.HoldersOf(BlockIdOf(delta.name())).empty()) {
        return absl::StrCat("no worker has all of batch ", it->first);
      }
      bytes += delta.bytes();
    }
  }
  if (bytes > kDeltasBytesMax) return "they are larger than running the batches again is worth";
  return "";
}

void JobDriverCore::NameDeltas() {
  // One that finishes a former shape, or is cancelled, has to run the last batch: its checkpoint
  // is taken there.
  if (!options_.deltas || options_.finish_only || cancel_ || !stateful() ||
      state_.last_decided_ms() <= checkpointer_.chains_ms()) {
    return;
  }
  const std::string why = WhyNoDeltas();
  if (!why.empty()) {
    out_.push_back(Say{Say::Level::kWarning,
                       absl::StrCat("generation ", generation_, " runs decided batches again "
                                    "instead of taking over their deltas: ", why)});
    return;
  }
  grant_.set_state_ms(state_.last_decided_ms());
  for (auto it = state_.decided().upper_bound(checkpointer_.chains_ms());
       it != state_.decided().end(); ++it) {
    for (const auto& info : it->second.decided.deltas()) {
      auto& delta = *grant_.add_deltas();
      *delta.mutable_block() = info;
      for (const std::string& worker : blocks_.HoldersOf(BlockIdOf(info.name()))) {
        delta.mutable_holders()->add_worker_ids(worker);
        delta.mutable_holders()->add_addresses(members_.AddressOf(worker));
      }
    }
  }
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
    if (!loads_.WaitsFor(member.executor())) continue;
    if (Fires(FaultPoint::kGrantUnsent)) continue;
    Send send{member.address(), {}};
    *send.message.mutable_grant() = grant_;
    out_.push_back(std::move(send));
  }
}

// One node that cannot read the store must not hold up the others.
void JobDriverCore::JudgeLoads(MonotonicTime now) {
  const std::string news = loads_.News(now);
  if (!news.empty()) out_.push_back(Say{Say::Level::kWarning, news});
  const std::optional<uint32_t> leaves = loads_.Leaves(now);
  if (!leaves) return;
  MembershipNews changes;
  members_.PutOut(now, *leaves, "it cannot load the checkpoint, which others have loaded", changes,
                  out_);
  TakeNews(now, changes);
}

void JobDriverCore::OnGrantDone(MonotonicTime now, const proto::GrantDone& done) {
  if (phase_ != Phase::kGranting || done.generation().number() != generation_ ||
      done.generation().epoch() != epoch_) {
    return;
  }
  if (done.delta_lost()) {
    deltas_lost_ms_ = state_.last_decided_ms();
    new_generation_wanted_ = true;
    phase_ = Phase::kForming;
    out_.push_back(Say{Say::Level::kWarning, absl::StrCat("executor ", done.executor(), ": ",
                                                          done.error())});
    return;
  }
  if (done.may_pass()) return loads_.OnFailed(now, done.executor(), done.error());
  if (!done.error().empty()) {
    SetAside(done.executor(),
             absl::StrCat("executor ", done.executor(), " cannot load the checkpoint of batch ",
                          checkpointer_.chains_ms(), ": ", done.error()));
    return;
  }
  loads_.OnLoaded(now, done.executor());
  if (loads_.AllLoaded()) RunGeneration(now);
}

// Decided batches since the checkpoint rebuild the state; undecided ones run whole.
void JobDriverCore::RunGeneration(MonotonicTime now) {
  phase_ = Phase::kRunning;
  told_ = {};
  // A driver that only finishes what was planned leaves a checkpoint of all of it, and one that is
  // cancelled of all that is decided.
  const int64_t seals_ms = cancel_                ? state_.last_decided_ms()
                           : options_.finish_only ? state_.last_planned_ms()
                                                  : 0;
  if (cancel_ || (seals_ms != 0 && seals_ms == state_.last_decided_ms())) {
    sealing_generation_ = generation_;
  }
  for (const auto& [batch_ms, composition] : state_.planned()) {
    if (batch_ms <= checkpointer_.chains_ms()) continue;
    const bool rebuild = batch_ms <= state_.last_decided_ms();
    if (rebuild && (!stateful() || batch_ms <= grant_.state_ms())) continue;
    if (cancel_ && !rebuild) continue;
    const bool checkpoint = batch_ms == seals_ms && grant_.members_size() > 0;
    if (checkpoint) BeginCheckpoint(now, batch_ms);
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
