// Ticks and batches of the job driver's core: freezing, deciding, what follows a failure.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/fault_point.h"
#include "driver/job/job_driver_core.h"
#include "driver/job/planner.h"

namespace sluice {
namespace {

constexpr MonotonicTime kSealSlackMaxUs = 20'000;
constexpr MonotonicTime kRestsSlackUs = 1'000'000;
constexpr int kImbalancesMax = 3;
// A map task that is run twice should not be all that its slot has to do.
constexpr uint32_t kTasksPerSlotCopied = 3;
constexpr MonotonicTime kTellAgainUs = 1'000'000;
constexpr MonotonicTime kTryUnsealedUs = 60'000'000;
constexpr int64_t kUnsealedIntervals = 3;
constexpr MonotonicTime kSourcesPatienceUs = 5'000'000;

// What a tick asks outside: directories, queues, the functions of batch values.
std::string SourcesAsked(const LineageGraph& graph) {
  std::vector<std::string> asked;
  for (const Node& node : graph.nodes()) {
    if (node.kind != NodeKind::kSource) continue;
    if (node.source.kind == SourceKind::kFiles) asked.push_back(node.source.directory);
    if (node.source.kind == SourceKind::kQueue) asked.push_back(node.label);
  }
  for (const BatchValueSpec& value : graph.batch_values()) {
    asked.push_back("batch value " + value.name);
  }
  return absl::StrJoin(asked, ", or ");
}

}  // namespace

void JobDriverCore::AdvanceTick(MonotonicTime now) {
  if (options_.finish_only) return;
  if (tick_.batch_ms == 0 && final_ms_ == 0) {
    const int64_t due = ticks_.Due(now);
    // As the log has it: what is decided and not durable keeps as much memory as what is not.
    const size_t undecided = std::distance(
        state_.planned().upper_bound(log_.durable().last_decided_ms()), state_.planned().end());
    const size_t unpublished = std::max(publisher_.behind(), roller_.behind());
    const uint32_t most = options_.batches_undecided_max;
    const bool room = undecided < most && unpublished < most && MayLagFurther(now);
    if (due == 0 || room) {
      held_since_ = 0;
    } else if (held_since_ == 0) {
      held_since_ = now;
    }
    if (due != 0 && room && !Fires(FaultPoint::kTickLater)) BeginTick(now, due);
  }
  if (tick_.batch_ms != 0 && !tick_.listed) WarnOfLateSources(now);
  if (tick_.batch_ms == 0 || !tick_.listed) return;
  if (tick_.seals_waiting.empty() || now >= tick_.deadline) FreezeBatch(now);
}

bool JobDriverCore::TooFarFromCheckpoint() const {
  const int64_t usual =
      kUnsealedIntervals * options_.checkpoint_interval_ms / options_.batch_interval_ms;
  const int64_t most = std::max<int64_t>(options_.batches_unsealed_max, usual);
  return std::ssize(state_.planned()) >= most;
}

// A checkpoint needs a batch to be taken of, and a drain its last one.
bool JobDriverCore::MayLagFurther(MonotonicTime now) const {
  if (stopping_ || !TooFarFromCheckpoint()) return true;
  const bool tries = phase_ == Phase::kRunning && checkpointer_.WantsNext(now);
  return tries && now - frozen_at_ >= kTryUnsealedUs;
}

void JobDriverCore::BeginTick(MonotonicTime now, int64_t batch_ms) {
  tick_ = Tick{};
  tick_.batch_ms = batch_ms;
  tick_.begun = now;
  tick_.in_time = batch_ms == ticks_.Latest(now);
  tick_.deadline = now + std::min(options_.batch_interval_ms * 100, kSealSlackMaxUs);
  std::vector<std::string> asked = members_.ReceiverWorkers();
  tick_.takes_rests = stopping_ && receivers_stopped_ && asked.empty();
  if (tick_.takes_rests) {
    tick_.deadline = now + kRestsSlackUs;
    asked = members_.WorkersWithRests();
  }
  for (const std::string& worker : asked) {
    tick_.seals_waiting.insert(worker);
    Send send{members_.AddressOf(worker), {}};
    send.message.mutable_seal_tick()->set_job_instance(state_.job().job_instance());
    send.message.mutable_seal_tick()->set_batch_ms(batch_ms);
    out_.push_back(std::move(send));
  }
  const auto& nodes = graph_.nodes();
  const bool asks = std::any_of(nodes.begin(), nodes.end(), [](const Node& node) {
    return node.kind == NodeKind::kSource && (node.source.kind == SourceKind::kFiles ||
                                              node.source.kind == SourceKind::kQueue);
  });
  tick_.listed = !asks && graph_.batch_values().empty();
  if (!tick_.listed) {
    out_.push_back(ListSources{batch_ms, state_.job().zero_ms()});
  }
}

// A directory that hangs, or a function of the program that does not return, holds up every batch.
void JobDriverCore::WarnOfLateSources(MonotonicTime now) {
  const MonotonicTime patience =
      std::max(kSourcesPatienceUs, 10 * 1000 * options_.batch_interval_ms);
  if (tick_.late || now - tick_.begun < patience) return;
  tick_.late = true;
  out_.push_back(Say{Say::Level::kWarning,
                     absl::StrCat("batch ", tick_.batch_ms, " waits for its sources: ",
                                  SourcesAsked(graph_), " has not answered for ",
                                  (now - tick_.begun) / 1'000'000, " s")});
}

void JobDriverCore::FreezeBatch(MonotonicTime now) {
  PlanRequest request;
  request.batch_ms = tick_.batch_ms;
  request.missed_from_ms = ticks_.MissedBefore(tick_.batch_ms);
  request.tasks = std::max(1u, runner_->active() ? runner_->slots() : members_.ClusterSlots());
  if (options_.straggler_copies) request.tasks *= kTasksPerSlotCopied;
  request.max_batch_input = options_.max_batch_input;
  request.listed = &tick_.sources;
  request.member_of_task = runner_->MembersOfTasks(tick_.batch_ms, request.tasks);
  request.members_holding = [&](const LoggedBlock& block) {
    std::vector<uint32_t> near;
    const auto& members = runner_->members();
    for (size_t i = 0; i < members.size(); ++i) {
      const auto& holders = block.holders;
      if (std::find(holders.begin(), holders.end(), members[i].worker_id()) != holders.end()) {
        near.push_back(static_cast<uint32_t>(i));
      }
    }
    return near;
  };
  proto::Entry entry;
  *entry.mutable_planned()->mutable_composition() = PlanBatch(*plan_, state_, request);
  const int64_t span_ms =
      tick_.batch_ms - std::max(state_.last_planned_ms(), state_.job().zero_ms());
  rates_.OnPlanned(now, *plan_, entry.planned().composition(), span_ms);
  ticks_.Take(tick_.batch_ms, tick_.in_time);
  planned_at_[tick_.batch_ms] = frozen_at_ = now;
  log_.Enqueue(std::move(entry));
  events_->Submitted(now, state_.planned().at(tick_.batch_ms), out_);
  // Every daemon has announced what receivers had sealed there. Until then the drain goes on, a
  // batch at a time: such a block may wait for its copy, for the received-data log or for room.
  const bool last = tick_.takes_rests && tick_.seals_waiting.empty() &&
                    state_.waiting_blocks().empty() && !blocks_.AwaitsBlocks() &&
                    state_.letters().waiting().empty();
  if (last) {
    final_ms_ = tick_.batch_ms;
    checkpointer_.Abandon(now);
    checkpointer_.ForceNext();
  }
  if (phase_ == Phase::kRunning) {
    const bool checkpoint = checkpointer_.WantsNext(now);
    if (checkpoint) BeginCheckpoint(now, tick_.batch_ms);
    runner_->Add(tick_.batch_ms, false, checkpoint);
  }
  tick_ = Tick{};
}

void JobDriverCore::AdvanceRuns(MonotonicTime now) {
  if (phase_ != Phase::kRunning) return;
  while (phase_ == Phase::kRunning) {
    BatchRun* run = runner_->Whole(now);
    if (run == nullptr || !FinishRun(now, *run)) break;
  }
  if (phase_ != Phase::kRunning) return;
  const Progress progress = ProgressOfRuns();
  const size_t before = out_.size();
  runner_->Grant(now, progress, out_);
  if (out_.size() > before) {
    told_ = progress;
    told_at_ = now;
    for (const BatchRun& run : runner_->runs()) {
      if (run.granted && !run.rebuild) events_->Started(now, run.batch_ms, out_);
    }
    return;
  }
  TellProgress(now, progress);
}

// A checkpoint in progress waits to hear of its batch's decision, a task with effects of its
// permission, and changes that are sealed are to be forgotten.
void JobDriverCore::TellProgress(MonotonicTime now, const Progress& progress) {
  const bool sealed = progress.sealed_ms != told_.sealed_ms;
  const bool decided = progress.decided_ms != told_.decided_ms;
  const bool permits = graph_.has_task_effects() && !runner_->runs().empty() &&
                       runner_->runs().front().granted && progress.effects_ms != told_.effects_ms;
  // And again while no batch carries it: behind the last one of a job nothing else would.
  const bool waiting = checkpointer_.in_progress_ms() != 0;
  const bool last = cancel_ || runner_->runs().empty();
  const bool again = waiting && last && now - told_at_ > kTellAgainUs;
  if (sealed || permits || again || (decided && waiting)) {
    runner_->Inform(progress, out_);
    told_ = progress;
    told_at_ = now;
  }
}

Progress JobDriverCore::ProgressOfRuns() const {
  Progress progress;
  // In a rebuild the batches are decided already, in the order in which they are sent.
  const bool rebuilding = !runner_->runs().empty() && runner_->runs().front().rebuild;
  const int64_t decided = log_.durable().last_decided_ms();
  progress.decided_ms =
      rebuilding ? std::min(decided, runner_->runs().front().batch_ms - 1) : decided;
  progress.sealed_ms = log_.durable().sealed_ms();
  progress.abandoned_ms = checkpointer_.abandoned_ms();
  const int64_t next = state_.FirstUndecided();
  const bool permitted = next != 0 && !cancel_ && EffectsAllowed(next);  // else it is not decided
  progress.effects_ms = permitted ? next : decided;
  progress.durable_slot = log_.next_slot() - 1;
  return progress;
}

// The batch is as sound as ever: one of the two counts, wholly. But it shows that running it again
// may give another one.
void JobDriverCore::OnCopyDiffers(const proto::CopyDiffers& differs) {
  if (differs.generation().number() != generation_ || differs.generation().epoch() != epoch_ ||
      differs.stage() >= plan_->stages().size()) {
    return;
  }
  ++copies_differ_;
  const Node& source = graph_.node(plan_->stages()[differs.stage()].root);
  out_.push_back(Say{Say::Level::kWarning,
                     absl::StrCat("a copy of task ", differs.task(), " on ", source.label,
                                  " of batch ", differs.batch_ms(), " gave other records than the"
                                  " task: what follows that source before the first shuffle is not"
                                  " deterministic")});
}

// Names workers that hold every batch up; what follows is the driver daemon's to decide.
void JobDriverCore::JudgeWorkers(const BatchRun& run) {
  std::map<std::string, WorkerLoad> loads;
  for (const auto& member : runner_->members()) {
    const auto report = run.reports.find(member.executor());
    if (report == run.reports.end()) continue;
    WorkerLoad& load = loads[member.worker_id()];
    load.busy_us = std::max(load.busy_us, report->second.busy_us());
    load.outrun |= report->second.outrun() > 0;
    for (const auto& source : report->second.sources()) load.records += source.records();
    for (const auto& edge : report->second.edges()) load.records += edge.folded();
  }
  for (const SlowWorker& slow : slow_workers_.OnBatch(run.batch_ms, loads)) {
    out_.push_back(Say{Say::Level::kWarning,
                       absl::StrFormat("worker %s is slow: since batch %d its tasks took more than "
                                       "three times those of the others, or copies of them were "
                                       "faster; in this one %.1f times",
                                       slow.worker_id, slow.since_batch_ms, slow.times)});
  }
}

// User code with an effect outside runs when it is durable that its batch is the next to be
// decided, and what it is made of: a batch may have become empty by being skipped.
bool JobDriverCore::EffectsAllowed(int64_t batch_ms) const {
  const JobState& durable = log_.durable();
  const auto planned = durable.planned().find(batch_ms);
  return batch_ms == state_.FirstUndecided() && planned != durable.planned().end() &&
         planned->second.empty() == state_.planned().at(batch_ms).empty() &&
         durable.last_decided_ms() == state_.last_decided_ms();
}

// False: the run must wait, or the generation is over.
bool JobDriverCore::FinishRun(MonotonicTime now, BatchRun& run) {
  BatchOutcome outcome = runner_->Outcome(run);
  if (!outcome.failure.empty()) {
    OnBatchFailed(now, run.batch_ms, outcome.failure);
    return false;
  }
  if (!outcome.imbalance.empty()) {
    out_.push_back(Say{Say::Level::kError, "counts do not balance: " + outcome.imbalance});
    if (++imbalances_ >= kImbalancesMax) Fail(1, "counts do not balance: " + outcome.imbalance);
    new_generation_wanted_ = true;
    phase_ = Phase::kForming;
    return false;
  }
  if (run.rebuild) {
    const auto it = state_.decided().find(run.batch_ms);
    if (it != state_.decided().end()) {
      const auto& was = it->second.decided.states();
      for (int i = 0; i < was.size() && i < outcome.decided.states_size(); ++i) {
        if (was[i].digest() == outcome.decided.states(i).digest()) continue;
        out_.push_back(Say{Say::Level::kWarning,
                           absl::StrCat("operator ", was[i].operator_name(), " gave another state"
                                        " when batch ", run.batch_ms, " was run again: it is not"
                                        " deterministic")});
      }
    }
    ForgetBlame(now, run.batch_ms);
    runner_->PopFront();
    return true;
  }
  if (!RunForeachOf(run, outcome) || Fires(FaultPoint::kDecideLater)) return false;
  JudgeWorkers(run);
  for (const auto& [executor, report] : run.reports) copies_won_ += report.outrun();
  // One that a former driver planned has no time here.
  if (const auto planned = planned_at_.extract(run.batch_ms); !planned.empty()) {
    scheduling_delay_ms_ = (run.first_sent - planned.mapped()) / 1000;
  }
  rates_.OnDecided(now, run.batch_ms, run.first_sent);
  ForgetBlame(now, run.batch_ms);
  events_->Decided(run.batch_ms, outcome.decided.records(), outcome.decided.letters_size());
  SayLetters(outcome.decided);
  proto::Entry entry;
  *entry.mutable_decided() = std::move(outcome.decided);
  entry.mutable_decided()->set_branch(branch_);
  log_.Enqueue(std::move(entry));
  runner_->PopFront();
  return true;
}

bool JobDriverCore::RunForeachOf(const BatchRun& run, const BatchOutcome& outcome) {
  if (outcome.foreach_parts.empty()) return true;
  BatchRun& mutable_run = *runner_->Find(run.batch_ms);
  if (!mutable_run.foreach_asked) {
    if (!EffectsAllowed(run.batch_ms)) return false;
    mutable_run.foreach_asked = true;
    for (const auto& [output, parts] : outcome.foreach_parts) {
      mutable_run.foreach_waiting.insert(output);
      const auto& values = state_.planned().at(run.batch_ms).values();
      out_.push_back(RunForeach{state_.job().job_instance(), run.batch_ms, output, generation_,
                                parts, {values.begin(), values.end()}});
    }
  }
  return mutable_run.foreach_waiting.empty();
}

bool JobDriverCore::IsSkipped(int64_t batch_ms) const {
  const auto planned = state_.planned().find(batch_ms);
  return planned != state_.planned().end() && planned->second.empty();
}

// What is left of a skipped batch, say of a window, goes to the function too. Where that fails
// again nothing is left to skip but this output.
void JobDriverCore::OnForeachFailed(MonotonicTime now, const ForeachDone& done) {
  if (!options_.skip_failed_batches || !IsSkipped(done.batch_ms)) {
    return OnBatchFailed(now, done.batch_ms, done.error);
  }
  out_.push_back(Say{Say::Level::kError, absl::StrCat("batch ", done.batch_ms, " was skipped, and ",
                                                      done.error, " once more: it is given up")});
}

void JobDriverCore::OnBatchFailed(MonotonicTime now, int64_t batch_ms, const std::string& cause) {
  if (cancel_) {  // what is not decided matters no more
    if (batch_ms <= state_.last_decided_ms()) cannot_seal_ = cause;
    return;
  }
  if (batch_ms <= state_.last_decided_ms() || !options_.skip_failed_batches ||
      IsSkipped(batch_ms)) {
    events_->Failed(now, batch_ms, cause, out_);
    Fail(1, cause);
    return;
  }
  new_generation_wanted_ = true;
  phase_ = Phase::kForming;
  if (keeper_.busy()) return;  // this one will run again, and fail again
  events_->Failed(now, batch_ms, cause, out_);
  out_.push_back(Say{Say::Level::kError, absl::StrCat("skipped: ", cause)});
  keeper_.Begin(batch_ms, cause);
}

// Nothing runs while the input of a batch is kept aside: the next generation begins without it.
void JobDriverCore::AdvanceSkip(MonotonicTime now) {
  std::optional<proto::Skipped> skipped = keeper_.Advance(now, out_);
  if (!skipped.has_value()) return;
  proto::Entry entry;
  *entry.mutable_skipped() = *std::move(skipped);
  log_.Enqueue(std::move(entry));
}

bool JobDriverCore::Settled(MonotonicTime now) const {
  return begun_ && phase_ == Phase::kRunning && ticks_.started() && ticks_.Due(now) == 0 &&
         tick_.batch_ms == 0 && runner_->runs().empty() && publisher_.idle() && letters_.idle() &&
         roller_.idle() &&
         log_.idle() &&
         checkpointer_.in_progress_ms() == 0;
}

void JobDriverCore::BeginCheckpoint(MonotonicTime now, int64_t batch_ms) {
  std::map<uint32_t, std::string> executors;
  for (const auto& member : runner_->members()) executors[member.executor()] = member.worker_id();
  checkpointer_.Begin(now, batch_ms, branch_, std::move(executors));
}

// What a durable seal covers is released and forgotten.
void JobDriverCore::AfterSeal() {
  const int64_t sealed = log_.durable().sealed_ms();
  if (sealed == 0 || state_.sealed_ms() != sealed) return;
  if (collected_ms_ != sealed) {
    collected_ms_ = sealed;
    proto::Entry entry;
    entry.mutable_collected()->set_batch_ms(sealed);
    const auto decided = log_.durable().decided().find(sealed);
    if (decided != log_.durable().decided().end()) {
      entry.mutable_collected()->set_slot(decided->second.position.slot);
      entry.mutable_collected()->set_wall_ms(wall_ms_);
    }
    for (auto& file : files_->OnSealed()) {
      *entry.mutable_collected()->add_forgotten() = std::move(file);
    }
    log_.Enqueue(std::move(entry));
    producers_.OnSealed();
    log_.AfterDurable(CollectStore{state_.CollectableSlot(wall_ms_)});
    // No block of a batch up to this one comes later: once per seal is enough.
    const std::vector<BlockId> covered = state_.TakeCoveredBlocks();
    if (!covered.empty()) blocks_.Release(covered);
    blocks_.SweepDeltas();
    log_.ForgetCovered();
  }
  if (!Fires(FaultPoint::kForgetLater)) state_.ForgetCovered();
}

}  // namespace sluice
