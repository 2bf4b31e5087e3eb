// What each message means to the worker daemon.
#include <algorithm>

#include "worker/daemon/block_names.h"
#include "worker/daemon/worker_core.h"

namespace sluice {

void WorkerCore::On(MonotonicTime now, worker::Received& event, worker::Commands& out) {
  executors_.OnHeardFrom(now, event.from);
  using Kind = proto::Envelope;
  const proto::Envelope& message = event.message;
  switch (message.message_case()) {
    case Kind::kDriverLeads:
      if (driver_.Takes(message.leader_epoch())) {
        driver_.OnLeads(now, message.leader_epoch(), message.driver_leads().address(), out);
      }
      return;
    case Kind::kWorkerRegistered:
      if (!driver_.Takes(message.leader_epoch())) return;
      if (message.worker_registered().register_again() && event.from != driver_.address()) return;
      if (message.worker_registered().tells_binaries()) {
        const auto& needed = message.worker_registered().binaries();
        executors_.OnBinariesNeeded({needed.begin(), needed.end()}, out);
      }
      return driver_.OnRegistered(now, message.worker_registered(), out);
    case Kind::kDrainWorker:
      if (event.from == driver_.address() && driver_.Takes(message.leader_epoch())) {
        worker::DrainRequested drain{
            now + static_cast<int64_t>(message.drain_worker().deadline_ms()) * 1000};
        On(now, drain, out);
      }
      return;
    case Kind::kJobsOver:
      if (event.from != driver_.address() || !driver_.Takes(message.leader_epoch())) return;
      for (const uint64_t instance : message.jobs_over().job_instances()) {
        executors_.StopJob(now, instance, "its job has ended", out);
      }
      for (const uint64_t instance : message.jobs_over().finished()) OnFinished(now, instance, out);
      return;
    case Kind::kBlockCopied:
      return blocks_.OnCopied(now, event.from, message.block_copied(), out);
    case Kind::kExecutorAttach:
    case Kind::kExecutorBeat:
    case Kind::kSealSlices:
    case Kind::kProducerQuery:
    case Kind::kReceiverError:
      return OnFromExecutor(now, event, out);
    case Kind::kSealDone:
      return OnSealDone(event.from, message.seal_done(), out);
    default:
      return OnFromJobDriver(now, event, out);
  }
}

WorkerJob* WorkerCore::FromDriver(const std::string& from, uint64_t job_instance) {
  auto found = jobs_.find(job_instance);
  const bool known = found != jobs_.end() && found->second.epoch != 0;
  return known && found->second.driver == from ? &found->second : nullptr;
}

bool WorkerCore::LedByAnother(const std::string& from, uint64_t job_instance) const {
  const auto found = jobs_.find(job_instance);
  return found != jobs_.end() && found->second.epoch != 0 && found->second.driver != from;
}

bool WorkerCore::IsMember(const std::string& address, uint64_t job_instance) const {
  const auto found = jobs_.find(job_instance);
  return found != jobs_.end() && found->second.MemberAt(address) != nullptr;
}

void WorkerCore::OnFromJobDriver(MonotonicTime now, worker::Received& event,
                                 worker::Commands& out) {
  using Kind = proto::Envelope;
  const proto::Envelope& message = event.message;
  const auto current = [&](uint64_t job_instance, uint64_t epoch) {
    return jobs_.contains(job_instance) && epoch >= jobs_.at(job_instance).epoch;
  };
  switch (message.message_case()) {
    case Kind::kJobSession: return OnSession(now, message.job_session(), out);
    case Kind::kClusterMembers:
      return OnMembers(now, event.from, message.cluster_members(), out);
    case Kind::kLeaseBeat: return OnLeaseBeat(now, event.from, message.lease_beat(), out);
    case Kind::kJobEnded:
      if (!LedByAnother(event.from, message.job_ended().job_instance())) {
        OnJobEnded(now, message.job_ended(), out);
      }
      return;
    case Kind::kStartExecutor:
      return executors_.OnStart(now, message.start_executor(),
                                drain_deadline_ != 0 ? "the worker is draining" : "", out);
    case Kind::kStopExecutor: {
      const auto& stop = message.stop_executor();
      const auto key =
          executors_.FindAdopted({stop.job_instance(), stop.epoch(), stop.executor()});
      if (!key.has_value() || FromDriver(event.from, stop.job_instance()) == nullptr) return;
      return executors_.Stop(now, *key, "stopped", !executors_.Find(*key)->receives(), out);
    }
    case Kind::kBlockVerdict:
      if (FromDriver(event.from, message.block_verdict().name().job_instance()) != nullptr) {
        OnVerdict(now, message.block_verdict(), out);
      }
      return;
    case Kind::kReleaseBlocks:
      if (current(message.release_blocks().job_instance(), message.release_blocks().epoch()) &&
          (!LedByAnother(event.from, message.release_blocks().job_instance()) ||
           IsMember(event.from, message.release_blocks().job_instance()))) {
        OnRelease(now, event.from, message.release_blocks(), out);
      }
      return;
    case Kind::kReplicateBlock:
      if (current(message.replicate_block().name().job_instance(),
                  message.replicate_block().epoch()) &&
          !LedByAnother(event.from, message.replicate_block().name().job_instance())) {
        blocks_.OnReplicate(now, message.replicate_block(), out);
      }
      return;
    case Kind::kRestoreBlock:
      if (current(message.restore_block().block().name().job_instance(),
                  message.restore_block().epoch()) &&
          !LedByAnother(event.from, message.restore_block().block().name().job_instance())) {
        blocks_.OnRestore(now, message.restore_block(), out);
      }
      return;
    case Kind::kSealTick:
      if (FromDriver(event.from, message.seal_tick().job_instance()) != nullptr) {
        OnSealTick(message.seal_tick(), out);
      }
      return;
    case Kind::kReceiverRates:
      if (FromDriver(event.from, message.receiver_rates().job_instance()) != nullptr) {
        OnReceiverRates(message.receiver_rates(), out);
      }
      return;
    case Kind::kProducerAnswer:
      if (FromDriver(event.from, message.producer_answer().job_instance()) != nullptr) {
        OnProducerAnswer(message.producer_answer(), out);
      }
      return;
    default: return;
  }
}

void WorkerCore::OnSession(MonotonicTime now, const proto::JobSession& message,
                           worker::Commands& out) {
  // Under another name a job goes on when the former one's driver is silent or has ended it.
  const auto known = jobs_.find(message.job_instance());
  if (known != jobs_.end() && known->second.epoch != 0 && !known->second.silent &&
      known->second.name != message.job()) {
    out.push_back(worker::Say{"session refused, another job leads this instance: job=" +
                              message.job() + " leader=" + known->second.name});
    return;
  }
  // A job that ended may be taken up again from its checkpoint, under the same instance.
  blocks_.OnSession(message.job_instance(), message.epoch());
  if (message.epoch() == 0 || blocks_.Ended(message.job_instance())) return;
  WorkerJob& job = jobs_[message.job_instance()];
  if (message.epoch() < job.epoch) {
    SendInventory(job, message.address(), out);  // says which epoch it is too late for
    return;
  }
  const bool newer = message.epoch() > job.epoch;
  if (!newer && message.number() < job.session) return;  // overtaken by one with newer members
  job.instance = message.job_instance();
  job.name = message.job();
  job.epoch = message.epoch();
  job.session = message.number();
  if (newer) job.releases = 0;
  job.driver = message.address();
  if (message.lease_ms() > 0) job.lease_us = static_cast<int64_t>(message.lease_ms()) * 1000;
  job.durable_slot = std::max(job.durable_slot, message.durable_slot());
  job.replication = message.replication();
  job.replication_min = message.replication_min();
  job.received_log = message.received_log();
  job.members = message.members();
  job.heard = now;
  job.silent = false;
  if (newer) executors_.StopOldTasks(now, job.instance, job.epoch, out);
  SendInventory(job, job.driver, out);
  if (newer) blocks_.OnNewEpoch(job.instance);
  blocks_.OnMembers(now, job.instance, out);
}

void WorkerCore::SendInventory(const WorkerJob& job, const std::string& to,
                               worker::Commands& out) const {
  Send send{to, {}};
  auto* inventory = send.message.mutable_worker_inventory();
  inventory->set_job_instance(job.instance);
  inventory->set_worker_id(config_.worker_id);
  inventory->set_incarnation(config_.incarnation);
  inventory->set_durable_slot(job.durable_slot);
  inventory->set_epoch(job.epoch);
  inventory->set_session(job.session);
  blocks_.AppendInventory(job.instance, inventory);
  for (const ExecutorKey& key : executors_.Receivers(job.instance)) {
    const auto* executor = executors_.Find(key);
    if (executor->state != ExecutorTable::Executor::State::kRunning) continue;
    for (int i = 0; i < executor->request.streams_size(); ++i) {
      auto* receiver = inventory->add_receivers();
      receiver->set_executor(key.executor);
      receiver->set_stream(executor->request.streams(i));
      if (i < executor->request.incarnations_size()) {
        receiver->set_incarnation(executor->request.incarnations(i));
      }
      receiver->set_push_address(executor->push_address);
    }
  }
  out.push_back(std::move(send));
}

void WorkerCore::OnMembers(MonotonicTime now, const std::string& from,
                           const proto::ClusterMembers& members, worker::Commands& out) {
  for (auto& [instance, job] : jobs_) {
    if (job.epoch == 0 || job.driver != from) continue;
    job.members = members;
    job.heard = now;
    blocks_.OnMembers(now, instance, out);
  }
}

void WorkerCore::SendBeat(MonotonicTime now, const WorkerJob& job, const std::string& to,
                          worker::Commands& out) const {
  Send send{to, {}};
  auto* beat = send.message.mutable_lease_beat();
  beat->set_job_instance(job.instance);
  beat->set_epoch(job.epoch);
  beat->set_durable_slot(job.durable_slot);
  beat->set_reply(!job.silent || now - job.heard <= job.lease_us);
  beat->set_releases(job.releases);
  beat->set_blocks(blocks_.Count(job.instance));
  beat->set_worker_id(config_.worker_id);
  beat->set_incarnation(config_.incarnation);
  executors_.AppendTaken(job.instance, beat);
  out.push_back(std::move(send));
}

void WorkerCore::OnLeaseBeat(MonotonicTime now, const std::string& from,
                             const proto::LeaseBeat& beat, worker::Commands& out) {
  auto found = jobs_.find(beat.job_instance());
  if (found == jobs_.end()) {
    // The driver learns from the incarnation that this daemon holds nothing for it.
    WorkerJob unknown;
    unknown.instance = beat.job_instance();
    if (!beat.reply()) SendBeat(now, unknown, from, out);
    return;
  }
  WorkerJob& job = found->second;
  if (beat.epoch() == job.epoch && job.driver == from) {
    job.durable_slot = std::max(job.durable_slot, beat.durable_slot());
    job.heard = now;
    job.silent = false;
  }
  if (!beat.reply()) SendBeat(now, job, from, out);
}

void WorkerCore::OnVerdict(MonotonicTime now, const proto::BlockVerdict& verdict,
                           worker::Commands& out) {
  const auto receiver = blocks_.OnVerdict(now, verdict, out);
  if (!receiver.has_value()) return;
  const auto* executor = executors_.Find(*receiver);
  if (executor == nullptr || !executor->attached()) return;
  Send send{executor->address, {}};
  *send.message.mutable_block_verdict() = verdict;
  out.push_back(std::move(send));
}

// A receiver that still waits for the verdict on a released block seals its records anew; those
// that are logged are then dropped by their numbers.
void WorkerCore::OnRelease(MonotonicTime now, const std::string& from,
                           const proto::ReleaseBlocks& release, worker::Commands& out) {
  for (const auto& [receiver, block] : blocks_.OnRelease(now, release, out)) {
    const auto* executor = executors_.Find(receiver);
    if (executor == nullptr || !executor->attached()) continue;
    Send send{executor->address, {}};
    *send.message.mutable_block_verdict()->mutable_name() = NameOf(block);
    out.push_back(std::move(send));
  }
  WorkerJob& job = jobs_.at(release.job_instance());
  if (release.epoch() != job.epoch) return;
  job.releases = std::max(job.releases, release.number());
  SendBeat(now, job, from, out);
}

void WorkerCore::OnSealTick(const proto::SealTick& tick, worker::Commands& out) {
  auto [wait, fresh] = seals_.try_emplace({tick.job_instance(), tick.batch_ms()});
  if (!fresh) return;
  // What a receiver left behind that has ended counts as well.
  wait->second.blocks = blocks_.UnannouncedOf(tick.job_instance());
  for (const ExecutorKey& key : executors_.Receivers(tick.job_instance())) {
    const auto* executor = executors_.Find(key);
    if (executor->state != ExecutorTable::Executor::State::kRunning) continue;
    wait->second.executors.insert(key);
    Send send{executor->address, {}};
    *send.message.mutable_seal_tick() = tick;
    out.push_back(std::move(send));
  }
}

void WorkerCore::OnReceiverRates(const proto::ReceiverRates& rates, worker::Commands& out) {
  for (const ExecutorKey& key : executors_.Receivers(rates.job_instance())) {
    const auto* executor = executors_.Find(key);
    if (executor->state != ExecutorTable::Executor::State::kRunning) continue;
    Send send{executor->address, {}};
    *send.message.mutable_receiver_rates() = rates;
    out.push_back(std::move(send));
  }
}

void WorkerCore::OnProducerAnswer(const proto::ProducerAnswer& answer, worker::Commands& out) {
  for (const ExecutorKey& key : executors_.Receivers(answer.job_instance())) {
    const auto* executor = executors_.Find(key);
    const auto& incarnations = executor->request.incarnations();
    if (std::find(incarnations.begin(), incarnations.end(), answer.incarnation()) ==
        incarnations.end()) {
      continue;
    }
    Send send{executor->address, {}};
    *send.message.mutable_producer_answer() = answer;
    out.push_back(std::move(send));
  }
}

void WorkerCore::OnJobEnded(MonotonicTime now, const proto::JobEnded& message,
                            worker::Commands& out) {
  auto job = jobs_.find(message.job_instance());
  if (job != jobs_.end() && message.epoch() != 0 && message.epoch() < job->second.epoch) return;
  executors_.StopAll(now, message.job_instance(), "its job has ended", /*at_once=*/true, out);
  executors_.ForgetExits(message.job_instance());
  blocks_.OnJobEnded(message.job_instance(), message.epoch(), out);
  if (job != jobs_.end()) jobs_.erase(job);
}

// By the driver daemon's word: its job driver's own did not come. One that a new job driver has
// taken up meanwhile is not silent.
void WorkerCore::OnFinished(MonotonicTime now, uint64_t job_instance, worker::Commands& out) {
  const auto job = jobs_.find(job_instance);
  if (job == jobs_.end() || !job->second.silent) return;
  proto::JobEnded ended;
  ended.set_job_instance(job_instance);
  ended.set_epoch(job->second.epoch);
  OnJobEnded(now, ended, out);
}

void WorkerCore::OnFromExecutor(MonotonicTime now, worker::Received& event,
                                worker::Commands& out) {
  proto::Envelope& message = event.message;
  if (message.has_executor_attach()) {
    executors_.OnAttach(now, event.from, message.executor_attach());
  } else if (message.has_seal_slices()) {
    OnSealSlices(event.from, std::move(*message.mutable_seal_slices()), out);
  } else if (message.has_producer_query()) {
    auto job = jobs_.find(message.producer_query().job_instance());
    if (job == jobs_.end() || job->second.epoch == 0) return;
    Send send{job->second.driver, {}};
    *send.message.mutable_producer_query() = message.producer_query();
    out.push_back(std::move(send));
  } else if (message.has_receiver_error()) {
    auto job = jobs_.find(message.receiver_error().job_instance());
    if (job == jobs_.end() || job->second.epoch == 0) return;
    Send send{job->second.driver, {}};
    *send.message.mutable_receiver_error() = std::move(*message.mutable_receiver_error());
    out.push_back(std::move(send));
  }
}

void WorkerCore::OnSealSlices(const std::string& from, proto::SealSlices message,
                              worker::Commands& out) {
  const auto key = executors_.At(from);
  if (!key.has_value()) return;
  // An executor seals blocks of its own incarnations and of no other.
  const auto& request = executors_.Find(*key)->request;
  auto* slices = message.mutable_slices();
  const auto foreign = [&](const proto::SealSlices::Slice& slice) {
    const auto& name = slice.block().name();
    if (name.job_instance() != key->job_instance) return true;
    for (int i = 0; i < request.incarnations_size() && i < request.streams_size(); ++i) {
      if (request.incarnations(i) == name.incarnation() && request.streams(i) == name.stream()) {
        return false;
      }
    }
    return true;
  };
  slices->erase(std::remove_if(slices->begin(), slices->end(), foreign), slices->end());
  blocks_.OnSealSlices(*key, executors_.Find(*key)->address, std::move(message), out);
}

void WorkerCore::OnSealDone(const std::string& from, const proto::SealDone& done,
                            worker::Commands& out) {
  (void)out;
  const auto key = executors_.At(from);
  if (!key.has_value()) return;
  auto wait = seals_.find({done.job_instance(), done.batch_ms()});
  if (wait == seals_.end() || wait->second.executors.erase(*key) == 0) return;
  wait->second.blocks.merge(blocks_.Unannounced(*key));
}

}  // namespace sluice
