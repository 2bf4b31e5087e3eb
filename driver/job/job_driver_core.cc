#include "driver/job/job_driver_core.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/exit_code.h"
#include "common/mutations.h"

namespace sluice {
namespace {

std::vector<uint32_t> ReceiverStreams(const LineageGraph& graph) {
  std::vector<uint32_t> streams;
  for (const Node& node : graph.nodes()) {
    if (node.kind != NodeKind::kSource) continue;
    if (node.source.kind == SourceKind::kReceiver || node.source.kind == SourceKind::kPush) {
      streams.push_back(node.id);
    }
  }
  return streams;
}

// In batches, each once.
std::vector<int64_t> SlidesOf(const LineageGraph& graph) {
  std::set<int64_t> slides;
  for (const Node& node : graph.nodes()) {
    if (node.slide_batches > 1) slides.insert(node.slide_batches);
  }
  return {slides.begin(), slides.end()};
}

bool HasState(const LineageGraph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(),
                     [](const Node& node) { return !node.state_name.empty(); });
}

}  // namespace

JobDriverCore::JobDriverCore(JobDriverOptions options, const LineageGraph& graph,
                             proto::ExecutorInit init, RecoveredJob recovered,
                             std::function<uint64_t()> random)
    : options_(std::move(options)),
      graph_(graph),
      init_(std::move(init)),
      epoch_(recovered.epoch),
      former_binaries_(std::move(recovered.binaries)),
      random_(std::move(random)),
      state_(recovered.state),
      log_(&state_, std::move(recovered.state), recovered.next_slot),
      members_(options_, epoch_, ReceiverStreams(graph), random_),
      marks_(graph),
      blocks_(options_, &state_, &log_, &members_, epoch_),
      producers_(options_, graph_, &state_, &log_),
      roller_(graph_.outputs(), &state_, &log_),
      publisher_(&state_, &log_, &roller_),
      checkpointer_(options_, &state_, &log_),
      keeper_(&state_, &log_.durable(), &members_,
              [this](const BlockId& key) { return blocks_.HoldersOf(key); }),
      letters_(&state_, &log_),
      losses_(options_, &state_, &log_, &members_),
      slow_workers_(options_.batch_interval_ms),
      rates_(options_, graph_, &members_),
      ticks_(options_.batch_interval_ms, SlidesOf(graph_)),
      loads_(options_.lease_us),
      blame_(options_.task_max_failures, options_.bad_records_max),
      suspicions_(options_.lease_us),
      daemon_(options_.daemon_address) {
  replay_answer_ = state_.letters().answer();
  if (recovered.manifest_ms != 0) {
    if (recovered.manifest_ms > state_.sealed_ms()) {
      proto::Entry entry;  // its driver died between the manifest and the entry
      entry.mutable_sealed()->set_batch_ms(recovered.manifest_ms);
      entry.mutable_sealed()->set_manifest(recovered.manifest);
      log_.Enqueue(std::move(entry));
    }
  }
  Reshape();
  if (recovered.manifest_ms != 0) TakeChains(recovered);
  members_.SetJob(state_.begun() ? state_.job().job_instance() : random_(), init_);
  members_.SetDurableSlot(log_.next_slot() - 1);
  if (marks_.needed()) members_.HoldTasks();
  const uint64_t former = state_.program().graph_fingerprint();
  const bool changed = former != 0 && former != graph_.Fingerprint();
  if (changed) blocks_.RefuseFormerReceivers();
  members_.SetForgotten([this, changed](uint32_t stream, uint64_t incarnation) {
    return changed || state_.Forgotten(stream, incarnation);
  });
}

std::vector<DriverCommand> JobDriverCore::Step(MonotonicTime now, const DriverEvent& event) {
  out_.clear();
  if (ended_) return {};
  if (const auto* timer = std::get_if<TimerDue>(&event)) {
    wall_ms_ = timer->wall_ms;
    wall_seen_ = now;
    // No worker hears of a job whose beginning could still be lost: the next driver would begin
    // another one beside what this one started. Nor does any of one that cannot write its outputs.
    const bool first = state_.last_decided_ms() == 0;
    if (log_.durable().begun() && (marks_.looked() || !first)) {
      MembershipNews news;
      members_.OnTimer(now, news, out_);
      TakeNews(now, news);
      JudgeSuspicions(now);
      blocks_.OnTimer(now, out_);
    }
  } else if (const auto* in = std::get_if<MessageIn>(&event)) {
    OnMessage(now, *in);
  } else if (const auto* down = std::get_if<PeerDown>(&event)) {
    MembershipNews news;
    members_.OnPeerDown(now, *down, news);
    TakeNews(now, news);
    if (down->address == daemon_) registered_ = false;  // it knows no members
  } else if (const auto* durable = std::get_if<LogDurable>(&event)) {
    log_.OnDurable(*durable, out_);
    members_.SetDurableSlot(durable->slot);
  } else if (const auto* failed = std::get_if<LogFailed>(&event)) {
    const bool again = failed->exit_code == kExitStartAgain;
    End(failed->exit_code,
        again ? "RECOVERING" : failed->exit_code == kExitFenced ? "FENCED" : "FAILED",
        failed->message);
  } else if (const auto* listed = std::get_if<SourcesListed>(&event)) {
    if (!listed->error.empty()) {
      Fail(1, absl::StrCat("batch ", listed->batch_ms, " cannot be planned: ", listed->error));
    } else if (listed->batch_ms == tick_.batch_ms) {
      files_->OnListed(*listed, out_);
      tick_.sources = *listed;
      tick_.listed = true;
    }
  } else if (const auto* published = std::get_if<PublishDone>(&event)) {
    if (published->fatal) {
      events_->OutputEnded(now, published->batch_ms, published->output, published->error, out_);
      events_->Failed(now, published->batch_ms, published->error, out_);
      Fail(1, published->error);
    } else if (roller_.Rolls(published->output)) {
      roller_.OnDone(now, *published, out_);
    } else {
      publisher_.OnDone(now, *published, out_);
      if (published->error.empty()) {
        events_->OutputEnded(now, published->batch_ms, published->output, "", out_);
      }
    }
  } else if (const auto* marked = std::get_if<OutputsMarked>(&event)) {
    OnMarked(*marked);
  } else if (const auto* done = std::get_if<ForeachDone>(&event)) {
    BatchRun* run = runner_ ? runner_->Find(done->batch_ms) : nullptr;
    if (run != nullptr && done->generation == generation_) {
      run->foreach_waiting.erase(done->output);
      events_->OutputEnded(now, done->batch_ms, done->output, done->error, out_);
      if (!done->error.empty()) OnForeachFailed(now, *done);
    }
  } else if (const auto* put = std::get_if<ManifestPut>(&event)) {
    checkpointer_.OnManifestPut(*put, out_);
  } else if (const auto* kept = std::get_if<KeptAside>(&event)) {
    OnMarked(now, *kept);
    OnSetAside(now, *kept);
    keeper_.OnKept(now, *kept, out_);
    letters_.OnKept(now, *kept, out_);
  } else if (const auto* orphans = std::get_if<ReceivedOrphans>(&event)) {
    blocks_.OnOrphans(now, *orphans);
  } else if (const auto* stop = std::get_if<StopRequested>(&event)) {
    OnStop(now, *stop);
  }
  if (!ended_) Advance(now);
  return std::move(out_);
}

void JobDriverCore::OnMessage(MonotonicTime now, const MessageIn& in) {
  const proto::Envelope& m = in.message;
  members_.Heard(now, in.from);
  switch (m.message_case()) {
    case proto::Envelope::kDriverLeads:
    case proto::Envelope::kClusterMembers:
    case proto::Envelope::kJobStop:
    case proto::Envelope::kAcceptLoss:
    case proto::Envelope::kReplayLetters:
      // A driver daemon that slept while another took over is not heard.
      if (m.leader_epoch() < daemon_epoch_) return;
      daemon_epoch_ = m.leader_epoch();
      return OnDaemonMessage(now, m);
    case proto::Envelope::kExecutorHello:
    case proto::Envelope::kExecutorReady:
    case proto::Envelope::kGrantDone:
    case proto::Envelope::kBatchReport:
    case proto::Envelope::kCheckpointPart:
    case proto::Envelope::kSuspectPeer:
    case proto::Envelope::kStageLate:
    case proto::Envelope::kCopyDiffers:
      OnExecutorMessage(now, in.from, m);
      return;
    default:
      OnWorkerMessage(now, in.from, m);
  }
}

void JobDriverCore::OnDaemonMessage(MonotonicTime now, const proto::Envelope& m) {
  switch (m.message_case()) {
    case proto::Envelope::kDriverLeads:
      if (m.driver_leads().address() == daemon_) return;
      daemon_ = m.driver_leads().address();
      registered_ = false;
      register_sent_ = status_sent_ = 0;
      return;
    case proto::Envelope::kClusterMembers: {
      registered_ = true;
      MembershipNews news;
      members_.OnMembers(now, m.cluster_members(), news);
      TakeNews(now, news);
      return;
    }
    case proto::Envelope::kJobStop:
      OnStop(now, {!m.job_stop().drain(), static_cast<int64_t>(m.job_stop().deadline_ms()) * 1000});
      return;
    case proto::Envelope::kAcceptLoss:
      AcceptLosses(blocks_.LostBlocks(now));
      failure_.clear();
      return;
    case proto::Envelope::kReplayLetters:
      OnReplay(m.replay_letters());
      return;
    default:
      return;
  }
}

void JobDriverCore::OnWorkerMessage(MonotonicTime now, const std::string& from,
                                    const proto::Envelope& m) {
  MembershipNews news;
  switch (m.message_case()) {
    case proto::Envelope::kWorkerInventory:
      members_.OnInventory(now, m.worker_inventory(), news);
      if (m.worker_inventory().epoch() == epoch_) {
        if (m.worker_inventory().durable_slot() >= log_.next_slot()) {
          Fail(8, absl::StrCat("the log ends at slot ", log_.next_slot() - 1, ", but worker ",
                               m.worker_inventory().worker_id(), " has seen slot ",
                               m.worker_inventory().durable_slot(), " durable"));
          return;
        }
        blocks_.OnInventory(m.worker_inventory());
      }
      break;
    case proto::Envelope::kLeaseBeat:
      // Of a job whose driver was at this address before us.
      if (m.lease_beat().job_instance() != members_.job_instance()) break;
      members_.OnBeat(now, m.lease_beat(), news, out_);
      blocks_.OnBeat(now, m.lease_beat());
      losses_.OnBeat(m.lease_beat());
      break;
    case proto::Envelope::kExecutorExited:
      OnExited(now, from, m.executor_exited());
      return;
    case proto::Envelope::kBlockAnnounce:
      if (m.block_announce().epoch() <= epoch_) blocks_.OnAnnounce(from, m.block_announce(), out_);
      break;
    case proto::Envelope::kReceiverError: {
      const auto& error = m.receiver_error();
      if (!members_.ReceiverAlive(error.stream(), error.incarnation())) return;
      out_.push_back(ReceiverNews{ReceiverNews::What::kError, error.stream(),
                                  members_.ReceiverOf(error.stream())->worker_id, error.text()});
      return;
    }
    case proto::Envelope::kBlockNotRestored:
      blocks_.OnNotRestored(m.block_not_restored(), out_);
      break;
    case proto::Envelope::kBlockCopied:
      blocks_.OnCopyGone(m.block_copied(), out_);
      break;
    case proto::Envelope::kProducerQuery:
      producers_.OnQuery(from, m.producer_query(), out_);
      break;
    case proto::Envelope::kFetchedBlock:
      if (const auto failed = keeper_.OnFetched(now, m.fetched_block())) {
        blocks_.OnUnreadable(failed->first, failed->second, out_);
      }
      break;
    case proto::Envelope::kSealDone:
      if (m.seal_done().batch_ms() == tick_.batch_ms) {
        tick_.seals_waiting.erase(m.seal_done().worker_id());
      }
      break;
    default:
      break;  // not for a job driver
  }
  TakeNews(now, news);
}

void JobDriverCore::OnExecutorMessage(MonotonicTime now, const std::string& from,
                                      const proto::Envelope& m) {
  MembershipNews news;
  switch (m.message_case()) {
    case proto::Envelope::kExecutorHello:
      members_.OnHello(now, m.executor_hello(), out_);
      break;
    case proto::Envelope::kExecutorReady:
      members_.OnReady(now, m.executor_ready(), news);
      break;
    case proto::Envelope::kGrantDone:
      OnGrantDone(now, m.grant_done());
      break;
    case proto::Envelope::kBatchReport:
      if (runner_) runner_->OnReport(m.batch_report());
      break;
    case proto::Envelope::kCheckpointPart:
      if (m.checkpoint_part().generation().number() == generation_ &&
          m.checkpoint_part().generation().epoch() == epoch_) {
        checkpointer_.OnPart(m.checkpoint_part(), out_);
      }
      break;
    case proto::Envelope::kSuspectPeer:
      OnSuspect(now, m.suspect_peer());
      break;
    case proto::Envelope::kStageLate:
      if (phase_ == Phase::kRunning) copies_ += runner_->OnLate(m.stage_late(), out_);
      break;
    case proto::Envelope::kCopyDiffers:
      OnCopyDiffers(m.copy_differs());
      break;
    default:
      break;
  }
  (void)from;
  TakeNews(now, news);
}

void JobDriverCore::OnSuspect(MonotonicTime now, const proto::SuspectPeer& suspect) {
  if (suspect.generation().number() != generation_ || suspect.generation().epoch() != epoch_) {
    return;
  }
  suspicions_.Report(now, suspect.executor(), suspect.peer_executor());
  JudgeSuspicions(now);
}

void JobDriverCore::JudgeSuspicions(MonotonicTime now) {
  const size_t members = runner_ ? runner_->members().size() : 0;
  const std::optional<uint32_t> leaves = suspicions_.Verdict(now, members);
  if (!leaves) return;
  MembershipNews news;
  members_.PutOut(now, *leaves, "others do not reach it", news, out_);
  suspicions_.Clear();
  TakeNews(now, news);
}

void JobDriverCore::TakeNews(MonotonicTime now, const MembershipNews& news) {
  if (news.refused.has_value()) {
    OnRefused(now, *news.refused);
    if (ended_) return;
  }
  if (news.executors_changed) {
    new_generation_wanted_ = true;
    if (phase_ != Phase::kForming) {
      const auto ready = members_.ReadyTaskExecutors();
      const auto gone = [&](const proto::Grant::Member& member) {
        return std::none_of(ready.begin(), ready.end(), [&](const ExecutorEntry* executor) {
          return executor->id == member.executor();
        });
      };
      // Without one of its members the generation cannot finish anything.
      const auto& in = runner_->members();
      if (std::any_of(in.begin(), in.end(), gone)) phase_ = Phase::kForming;
    }
  }
  for (const std::string& worker : news.lost_workers) {
    tick_.seals_waiting.erase(worker);
    blocks_.OnWorkerLost(worker);
    out_.push_back(Say{Say::Level::kWarning, absl::StrCat("worker ", worker, " is lost")});
  }
  for (const std::string& worker : news.forgotten_workers) blocks_.OnWorkerForgotten(worker);
  for (const auto& [stream, worker] : news.receivers_up) {
    out_.push_back(ReceiverNews{ReceiverNews::What::kStarted, stream, worker, ""});
  }
  for (const auto& [stream, worker] : news.receivers_down) {
    out_.push_back(ReceiverNews{ReceiverNews::What::kStopped, stream, worker, ""});
  }
  for (const auto& [stream, incarnation] : news.dead_receivers) {
    blocks_.OnReceiverDead(stream, incarnation);
    losses_.OnDead(now, stream, incarnation);
    if (tick_.takes_rests) continue;
    for (const auto& [id, worker] : members_.workers()) {
      const auto up = members_.ReceiverWorkers();
      if (std::find(up.begin(), up.end(), id) == up.end()) tick_.seals_waiting.erase(id);
    }
  }
}

void JobDriverCore::Advance(MonotonicTime now) {
  // A new one is in so many partitions as it has slots for. One that goes on has receivers before
  // it has a slot, and they need to be told what to begin with.
  const bool known = state_.begun() || members_.ClusterSlots() > 0;
  if (!begun_ && wall_ms_ != 0 && known) BeginJob();
  if (begun_) {
    if (!cancel_) {
      AdvanceMarks();
      AdvanceSkip(now);
    }
    AdvanceGeneration(now);
    if (!cancel_) AdvanceTick(now);
    // Of a cancelled job nothing is decided any more: only a generation that seals may go on. In
    // another one a checkpoint of what is decided may be under way.
    if (!cancel_ || sealing_generation_ == generation_) {
      AdvanceRuns(now);
    } else if (phase_ == Phase::kRunning) {
      TellProgress(now, ProgressOfRuns());
    }
    publisher_.Advance(now, out_);
    letters_.Advance(now, out_);
    const int64_t decided = log_.durable().last_decided_ms();
    const bool last = cancel_ ? decided == state_.last_decided_ms()
                              : final_ms_ != 0 && decided >= final_ms_;
    roller_.Advance(now, last, out_);
    const MonotonicTime oldest = rates_.oldest() != 0 ? rates_.oldest() : held_since_;
    rates_.Advance(now, oldest, state_.job().job_instance(), out_);
    events_->Advance(now, log_.durable().last_decided_ms(), out_);
    checkpointer_.Advance(now, out_);
    losses_.Advance(now, graph_, /*at_once=*/final_ms_ != 0, out_);
    AfterSeal();
    if (options_.finish_only) AdvanceFinishing(now);
  }
  if (stopping_) AdvanceStop(now);
  MarkStore(now);
  AdvanceSetAside(now);
  log_.Flush(out_);
  SendStatus(now);
}

MonotonicTime JobDriverCore::NextTimer(MonotonicTime now) const {
  MonotonicTime next = now + std::min<MonotonicTime>(options_.lease_us / 20, 100'000);
  if (ticks_.started() && tick_.batch_ms == 0) next = std::min(next, ticks_.NextUs());
  if (tick_.batch_ms != 0) next = std::min(next, tick_.deadline);
  // What is due and held back (too many undecided batches, a listing under way) must not spin.
  return next > now ? next : now + 1'000;
}

bool JobDriverCore::stateful() const { return HasState(graph_); }

bool MayReshape(const RecoveredJob& job, const LineageGraph& graph) {
  if (job.state.FirstUndecided() != 0) return false;
  const int64_t sealed_ms = std::max(job.state.sealed_ms(), job.manifest_ms);
  return !HasState(graph) || kMutationReshapedUnsealed || job.state.last_decided_ms() <= sealed_ms;
}

}  // namespace sluice
