// The job's life in the job driver's core: its beginning, drain and cancel, failure, status.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "checkpoint/checkpoint_store.h"
#include "checkpoint/received_objects.h"
#include "common/exit_code.h"
#include "common/key_hash.h"
#include "driver/job/job_driver_core.h"

namespace sluice {
namespace {

constexpr MonotonicTime kStatusUs = 200'000;
constexpr MonotonicTime kLogPatienceUs = 10'000'000;
constexpr char kLogLate[] = "the driver log has not answered for ten seconds; nothing is "
                            "acknowledged or decided until it does";
constexpr MonotonicTime kStatusAgainUs = 1'000'000;
constexpr MonotonicTime kRegisterAgainUs = 200'000;   // until the daemon has answered
constexpr MonotonicTime kRegisterKeepUs = 2'000'000;
constexpr MonotonicTime kMarkAgainUs = 1'000'000;
constexpr MonotonicTime kFinishAgainUs = 1'000'000;
constexpr MonotonicTime kAsideAnswerUs = 60'000'000;
constexpr MonotonicTime kNever = INT64_MAX;

}  // namespace

// Fixes what never changes for a new job; a recovered one only says what it is now.
void JobDriverCore::BeginJob() {
  begun_ = true;
  if (!state_.begun()) {
    proto::Entry entry;
    auto& job = *entry.mutable_job_begun();
    job.set_job_instance(members_.job_instance());
    job.set_batch_interval_ms(options_.batch_interval_ms);
    job.set_zero_ms(TickClock::ZeroFor(wall_ms_, options_.batch_interval_ms));
    job.set_partitions(options_.partitions != 0
                           ? options_.partitions
                           : std::min(members_.ClusterSlots() * 4, options_.key_groups));
    job.set_key_groups(options_.key_groups);
    job.set_job_name(options_.job);
    job.set_key_hash(std::string(kKeyHashName));
    log_.Enqueue(std::move(entry));
  }
  proto::Entry seen;
  auto& program = *seen.mutable_program_seen();
  program.set_binary_digest(options_.binary_digest);
  program.set_graph_fingerprint(graph_.Fingerprint());
  *program.mutable_constants() = init_.constants();
  plan_ = std::make_unique<StagePlan>(graph_, state_.job().partitions());
  DescribeProgram(*plan_, &program);
  log_.Enqueue(std::move(seen));
  init_.set_zero_ms(state_.job().zero_ms());
  init_.set_partitions(state_.job().partitions());
  init_.set_key_groups(state_.job().key_groups());
  init_.set_binary_digest(options_.binary_digest);
  init_.set_graph_fingerprint(graph_.Fingerprint());
  init_.set_job(options_.job);
  members_.SetJob(state_.job().job_instance(), init_);
  runner_ = std::make_unique<BatchRunner>(
      options_, *plan_, &state_, &members_, &blame_,
      [this](const BlockId& key) { return blocks_.HoldersOf(key); },
      [this](const BlockId& key) { return blocks_.FindDelta(key); });
  files_ = std::make_unique<FileWatch>(*plan_, &state_);
  events_ = std::make_unique<BatchEvents>(*plan_, state_.job(), state_.last_decided_ms());
  for (const std::string& name : program_change_.dropped) {
    out_.push_back(Say{Say::Level::kWarning,
                       absl::StrCat("state ", name, " of the former program is left behind: no "
                                    "operator has that name")});
  }
  for (const std::string& name : program_change_.fresh) {
    out_.push_back(Say{Say::Level::kWarning,
                       absl::StrCat("state ", name, " is not in the checkpoint of batch ",
                                    checkpointer_.chains_ms(), ": it starts empty")});
  }
}

// State whose name the program does not have any more is not carried along: a later program that
// has the name again would find what was long ago.
void JobDriverCore::TakeChains(RecoveredJob& recovered) {
  if (!recovered.checkpoint_program.states().empty()) {
    proto::ProgramSeen now;
    DescribeProgram(StagePlan(graph_, state_.job().partitions()), &now);
    program_change_ = CompareState(recovered.checkpoint_program, now);
    const auto& dropped = program_change_.dropped;
    std::erase_if(recovered.chains, [&](const auto& chain) {
      return std::find(dropped.begin(), dropped.end(), chain.first.first) != dropped.end();
    });
  }
  checkpointer_.Restore(std::move(recovered.chains), recovered.manifest_ms,
                        recovered.manifest_branch, program_change_.spread);
}

// A recovered job that is told to go on in another shape.
void JobDriverCore::Reshape() {
  if (!state_.begun() || options_.finish_only) return;
  const proto::JobBegun& job = state_.job();
  const uint32_t partitions = options_.partitions != 0 ? options_.partitions : job.partitions();
  if (partitions == job.partitions() && options_.batch_interval_ms == job.batch_interval_ms()) {
    return;
  }
  proto::Entry entry;
  entry.mutable_reshaped()->set_partitions(partitions);
  entry.mutable_reshaped()->set_batch_interval_ms(options_.batch_interval_ms);
  log_.Enqueue(std::move(entry));
}

void JobDriverCore::AdvanceFinishing(MonotonicTime now) {
  if (state_.FirstUndecided() != 0) return;
  const int64_t last_ms = state_.last_decided_ms();
  if (!stateful() || log_.durable().sealed_ms() >= last_ms) {
    if (!publisher_.idle() || log_.durable().last_decided_ms() != last_ms) return;
    return End(kExitStartAgain, "RECOVERING",
               absl::StrCat("batches up to ", last_ms, " are finished in ",
                            state_.job().partitions(), " partitions, every ",
                            state_.job().batch_interval_ms(), " ms; the next start changes that"));
  }
  // A checkpoint that was given up is tried again.
  if (phase_ != Phase::kRunning || !runner_->runs().empty() || state_.sealed_ms() >= last_ms ||
      checkpointer_.in_progress_ms() != 0 || now < finish_again_at_) {
    return;
  }
  finish_again_at_ = now + kFinishAgainUs;
  new_generation_wanted_ = true;
  phase_ = Phase::kForming;
}

// Daemons put received blocks only where they find this: a directory of that name on their own
// node is another store.
void JobDriverCore::MarkStore(MonotonicTime now) {
  if (options_.received_log.empty() || now < mark_due_ || !log_.durable().begun()) return;
  mark_due_ = now + kMarkAgainUs;
  out_.push_back(KeepAside{JobMark(state_.job().job_instance()), options_.job + "\n"});
}

void JobDriverCore::OnMarked(MonotonicTime now, const KeptAside& kept) {
  if (kept.name != JobMark(state_.job().job_instance())) return;
  mark_due_ = kept.error.empty() ? kNever : now + kMarkAgainUs;
  if (!kept.error.empty()) {
    out_.push_back(Say{Say::Level::kWarning,
                       absl::StrCat("received blocks cannot be kept in the store: ", kept.error)});
  }
}

// The next driver passes this checkpoint over, and goes on from the one before where it can. Not by
// one executor's word: its node may see an empty folder where the others see the store.
void JobDriverCore::SetAside(uint32_t executor, const std::string& damage) {
  if (!damage_.empty()) return;
  damage_ = damage;
  found_damage_ = executor;
}

void JobDriverCore::AdvanceSetAside(MonotonicTime now) {
  if (damage_.empty() || now < aside_due_) return;
  aside_due_ = now + kAsideAnswerUs;
  out_.push_back(KeepAside{SetAsideName(state_.sealed_manifest()), damage_ + "\n",
                           state_.sealed_manifest()});
}

void JobDriverCore::OnSetAside(MonotonicTime now, const KeptAside& kept) {
  if (damage_.empty() || kept.name != SetAsideName(state_.sealed_manifest())) return;
  if (kept.whole) {
    MembershipNews news;
    members_.PutOut(now, found_damage_,
                    absl::StrCat(std::exchange(damage_, ""), ", but the job driver finds it whole"),
                    news, out_);
    aside_due_ = 0;
    return TakeNews(now, news);
  }
  if (kept.error.empty()) {
    return End(kExitStartAgain, "RECOVERING",
               absl::StrCat(damage_, "; it is set aside, and the next start goes on from the "
                                     "checkpoint before, if that can be done"));
  }
  aside_due_ = now + kMarkAgainUs;
  out_.push_back(Say{Say::Level::kError,
                     absl::StrCat(damage_, "; it cannot be set aside yet: ", kept.error)});
}

void JobDriverCore::OnStop(MonotonicTime now, const StopRequested& stop) {
  const int64_t patience = stop.deadline_us > 0 ? stop.deadline_us : options_.drain_deadline_us;
  stop_deadline_ = stopping_ ? std::min(stop_deadline_, now + patience) : now + patience;
  stopping_ = true;
  cancel_ |= stop.cancel;
}

// A cancelled job ends when what is decided is published, and a checkpoint has it where somebody
// may take the job up again. All else, were it planned, is left to them.
void JobDriverCore::AdvanceCancel(MonotonicTime now) {
  const int64_t last_ms = state_.last_decided_ms();
  const bool published =
      log_.idle() && publisher_.idle() && letters_.idle() && roller_.empty();
  const bool sealed = !stateful() || !options_.resumable || log_.durable().sealed_ms() >= last_ms;
  const bool late = now >= stop_deadline_;
  if (cannot_seal_.empty() && members_.ReadyTaskExecutors().empty()) {
    cannot_seal_ = "there is no executor";
  } else if (cannot_seal_.empty() && late) {
    cannot_seal_ = "the deadline passed";
  }
  if (published && (sealed || !cannot_seal_.empty())) {
    if (!sealed) {
      out_.push_back(Say{Say::Level::kWarning,
                         absl::StrCat("cancelled without a checkpoint of batch ", last_ms, ", the "
                                      "last one decided: ", cannot_seal_, "; the next start runs "
                                      "again what is behind the last checkpoint")});
    }
    return End(0, "CANCELLED", "");
  }
  if (late) {
    return End(5, "CANCELLED", absl::StrCat("the deadline passed before all output of batches up "
                                            "to ", last_ms, " was published"));
  }
  if (!sealed && cannot_seal_.empty()) SealDecided(now);
}

// By a generation that runs again what no checkpoint has, and nothing else.
void JobDriverCore::SealDecided(MonotonicTime now) {
  const bool under_way =
      checkpointer_.in_progress_ms() == state_.last_decided_ms() ||
      (sealing_generation_ == generation_ && !runner_->runs().empty());
  if (phase_ != Phase::kRunning || under_way || now < finish_again_at_) return;
  finish_again_at_ = now + kFinishAgainUs;
  new_generation_wanted_ = true;
  phase_ = Phase::kForming;
}

// Stops intake, lets the last batch take what waits, and ends when it is decided, published and
// covered by a sealed checkpoint. A job that no log has yet ends at once; one that is taken up
// again, and has no slots to go on with, at its deadline.
void JobDriverCore::AdvanceStop(MonotonicTime now) {
  if (!state_.begun()) return End(0, cancel_ ? "CANCELLED" : "FINISHED", "");
  if (!receivers_stopped_) {
    receivers_stopped_ = true;
    members_.StopReceivers(out_);
  }
  if (cancel_) return AdvanceCancel(now);
  blocks_.BeginDrain();
  // A block of a receiver that has ended may be announced when the last batch is planned already.
  if (final_ms_ != 0 && (!state_.waiting_blocks().empty() || blocks_.AwaitsBlocks())) final_ms_ = 0;
  // Receivers are up, and what they take is acknowledged, before anything can run.
  const bool nothing_ran = begun_ && !ever_ran_ && state_.last_planned_ms() == 0 &&
                           state_.waiting_blocks().empty() && log_.idle() &&
                           members_.ReceiverWorkers().empty();
  const bool done = final_ms_ != 0 && log_.durable().sealed_ms() >= final_ms_ &&
                    publisher_.idle() && letters_.idle() && roller_.empty() && log_.idle();
  if (done || nothing_ran) {
    SayLettersOwed();
    End(0, "FINISHED", "");
    return;
  }
  if (now >= stop_deadline_) {
    End(5, "FAILED",
        absl::StrCat("the deadline of the drain passed; batches up to ", state_.last_decided_ms(),
                     " are decided"));
    return;
  }
  // A generation that began after the last batch was planned has lost its checkpoint mark.
  if (final_ms_ != 0 && phase_ == Phase::kRunning && checkpointer_.in_progress_ms() == 0 &&
      state_.last_decided_ms() >= final_ms_ && state_.sealed_ms() < final_ms_ &&
      runner_->runs().empty()) {
    final_ms_ = 0;
  }
}

void JobDriverCore::Fail(int exit_code, const std::string& message) {
  End(exit_code, "FAILED", message);
}

void JobDriverCore::End(int exit_code, const std::string& state, const std::string& message) {
  if (ended_) return;
  ended_ = true;
  end_state_ = state;
  failure_ = message;
  exit_code_ = exit_code;
  if (exit_code == 0 && (!cancel_ || !options_.resumable)) {
    members_.EndJob(out_);  // nobody needs more of it: the daemons may forget the job
  } else if (exit_code != 7) {
    members_.StopExecutors(out_);  // blocks stay with the daemons for a later incarnation
  }
  if (!daemon_.empty() && exit_code != 7) {
    Send send{daemon_, {}};
    *send.message.mutable_job_status() = Status();
    out_.push_back(std::move(send));
  }
  out_.push_back(EndJob{exit_code, state, message});
}

std::string JobDriverCore::StateName() const {
  if (ended_) return end_state_;
  if (members_.ClusterSlots() == 0) return "WAITING";
  if (stopping_) return "DRAINING";
  const bool up = phase_ == Phase::kRunning && failure_.empty() &&
                  (runner_->runs().empty() || !runner_->runs().front().rebuild);
  if (up && (ever_up_ || members_.ReceiversUp())) return "RUNNING";
  return "RECOVERING";
}

// What a person should look at, worst first.
std::string JobDriverCore::Problem() const {
  if (ended_ || !failure_.empty()) return failure_;
  if (log_late_) return kLogLate;
  if (auto starts = members_.NothingStarts(options_.task_max_failures); !starts.empty()) {
    return starts;
  }
  if (!loads_.problem().empty()) return loads_.problem();
  if (!TooFarFromCheckpoint()) return checkpointer_.problem();
  return absl::StrCat("intake is held: ", state_.planned().size(),
                      " batches have no checkpoint yet; ", checkpointer_.problem());
}

proto::JobStatus JobDriverCore::Status() const {
  proto::JobStatus status;
  status.set_job(options_.job);
  status.set_state(StateName());
  status.set_epoch(epoch_);
  status.set_job_instance(members_.job_instance());
  status.set_generation(generation_);
  status.set_batch_interval_ms(options_.batch_interval_ms);
  status.set_last_decided_batch_ms(state_.last_decided_ms());
  status.set_decided_batches(state_.decided_batches());
  uint64_t waiting = 0;
  for (auto it = state_.planned().upper_bound(state_.last_decided_ms());
       it != state_.planned().end(); ++it) {
    ++waiting;
  }
  status.set_waiting_batches(waiting);
  status.set_failed_batches(state_.failed_batches());
  status.set_kept_batches(state_.kept_batches());
  status.set_unpublished_batches(publisher_.behind());
  status.set_output_problem(publisher_.blocked().empty() ? roller_.blocked()
                                                         : publisher_.blocked());
  if (state_.kept_batches() > 0) status.set_kept_at(options_.objects + "/" + kKeptFolder);
  ReportLetters(status);
  for (const std::string& digest : former_binaries_) status.add_binaries(digest);
  status.set_lost_records(state_.lost_records());
  status.set_scheduling_delay_ms(scheduling_delay_ms_);
  status.set_records_total(state_.records_total());
  status.set_failure(Problem());
  status.set_exit_code(exit_code_);
  status.set_under_replicated_blocks(blocks_.under_replicated());
  status.set_straggler_copies(copies_);
  status.set_straggler_copies_won(copies_won_);
  status.set_straggler_copies_differ(copies_differ_);
  for (const SlowWorker& slow : slow_workers_.outliers()) {
    proto::SlowWorker& worker = *status.add_slow_workers();
    worker.set_worker_id(slow.worker_id);
    worker.set_times(std::round(slow.times * 10) / 10);
    worker.set_since_batch_ms(slow.since_batch_ms);
  }
  if (files_ != nullptr) {
    status.set_changed_files(files_->changed_files());
    status.set_input_problem(tick_.late ? "the sources of batch " +
                                              std::to_string(tick_.batch_ms) + " do not answer"
                                        : files_->problem());
  }
  for (const Node& node : graph_.nodes()) {
    if (node.kind == NodeKind::kSource && !node.source.stream.empty()) {
      status.add_streams(node.source.stream);
    }
  }
  for (const auto& [id, executor] : members_.executors()) {
    if (!executor.receivers || executor.phase != ExecutorEntry::Phase::kReady) continue;
    for (const auto& [stream, incarnation] : executor.streams) {
      auto& place = *status.add_receivers();
      place.set_stream(graph_.node(stream).source.stream);
      place.set_address(executor.push_address);
      place.set_incarnation(incarnation);
      place.set_rate(rates_.RateOf(stream));
      place.set_taken(losses_.TakenBy(stream, incarnation));
    }
  }
  return status;
}

// A disk that hangs gives no error: its append is neither done nor failed.
void JobDriverCore::WatchLog(MonotonicTime now) {
  const uint64_t slot = log_.idle() ? 0 : log_.next_slot();
  if (slot != log_slot_ || slot == 0) {
    if (log_late_) out_.push_back(Say{Say::Level::kInfo, "the driver log answers again"});
    log_slot_ = slot;
    log_since_ = now;
    log_late_ = false;
  }
  if (log_late_ || now - log_since_ < kLogPatienceUs) return;
  log_late_ = true;
  out_.push_back(Say{Say::Level::kError, kLogLate});
}

void JobDriverCore::SendStatus(MonotonicTime now) {
  WatchLog(now);
  WatchLosses(now);
  ever_up_ |= begun_ && StateName() == "RUNNING";
  if (daemon_.empty() || ended_) return;
  const MonotonicTime patience = registered_ ? kRegisterKeepUs : kRegisterAgainUs;
  if (register_sent_ == 0 || now - register_sent_ > patience) {
    register_sent_ = now;
    Send send{daemon_, {}};
    auto& job = *send.message.mutable_job_driver_register();
    job.set_job(options_.job);
    job.set_job_instance(members_.job_instance());
    job.set_epoch(epoch_);
    job.set_pid(options_.pid);
    job.set_address(options_.own_address);
    job.mutable_settings()->set_driver_restarts(options_.driver_restarts);
    job.mutable_settings()->set_drain_deadline_ms(options_.drain_deadline_us / 1000);
    out_.push_back(std::move(send));
  }
  if (now - status_sent_ < kStatusUs) return;
  proto::JobStatus status = Status();
  std::string text = status.SerializeAsString();
  if (text == last_status_ && now - status_sent_ < kStatusAgainUs) return;
  last_status_ = std::move(text);
  status_sent_ = now;
  Send send{daemon_, {}};
  *send.message.mutable_job_status() = std::move(status);
  out_.push_back(std::move(send));
}

}  // namespace sluice
