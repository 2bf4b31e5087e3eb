#include "driver/daemon/daemon_core.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "driver/daemon/slot_allocation.h"

namespace sluice::daemon {
namespace {

bool AnyRunning(const proto::JobTable& table) {
  return std::any_of(table.jobs().begin(), table.jobs().end(),
                     [](const proto::JobRecord& job) { return !job.ended(); });
}

uint32_t MaxSlots(const proto::JobSpec& spec) {
  uint32_t value = 0;
  auto conf = spec.conf().find(kMaxSlotsKey);
  if (conf == spec.conf().end()) return 0;
  std::from_chars(conf->second.data(), conf->second.data() + conf->second.size(), value);
  return value;
}

}  // namespace

DaemonCore::DaemonCore(const JobTimes& times, MonotonicTime now, const proto::JobTable& table,
                       std::string host, Leadership leadership)
    : times_(times),
      host_(std::move(host)),
      leadership_(std::move(leadership)),
      begun_(now),
      settled_at_(AnyRunning(table) ? now + times.lease_us : now),
      last_tick_(now),
      workers_(times.lease_us) {
  for (const std::string& worker : table.workers()) untold_[worker] = "";
  for (const proto::JobRecord& record : table.jobs()) {
    jobs_.push_back(std::make_unique<JobLife>(record, times_, host_));
    jobs_.back()->Settle(now);
    if (!record.ended() && !record.driver_address().empty()) {
      untold_[record.driver_address()] = record.spec().name();
    }
  }
  if (leadership_.epoch == 0) untold_.clear();
}

std::vector<Command> DaemonCore::Step(MonotonicTime now, const Event& event) {
  now_ = now;
  out_.clear();
  dirty_ = reallocate_ = false;
  std::visit([this](const auto& e) { On(e); }, event);
  if (!std::holds_alternative<SubmitJob>(event)) {
    submitted_.clear();
    replaced_.reset();
  }
  if (reallocate_) Allocate();
  if (dirty_) {
    ForgetEnded();
    out_.insert(out_.begin(), Persist{Table()});
  }
  for (Command& command : out_) {
    if (auto* send = std::get_if<Send>(&command)) {
      send->message.set_leader_epoch(leadership_.epoch);
    }
  }
  return std::exchange(out_, {});
}

void DaemonCore::On(const Tick&) {
  // A loop that slept for long has heard nobody: it judges nobody.
  if (now_ - last_tick_ > times_.lease_us / 2) workers_.RenewAll(now_);
  if (last_tick_ < settled_at_ && now_ >= settled_at_) reallocate_ = true;
  last_tick_ = now_;
  if (workers_.Expire(now_)) reallocate_ = true;
  for (auto& job : jobs_) {
    JobLife::Phase before = job->phase();
    job->OnTick(now_, &out_);
    if (job->phase() != before) dirty_ = true;
    if (job->phase() == JobLife::Phase::kEnded && before != JobLife::Phase::kEnded) {
      reallocate_ = true;
    }
  }
  if (now_ >= repeat_at_) {
    repeat_at_ = now_ + times_.lease_us / 4;
    TellWhoLeads();
    TellAllMembers();
  }
}

// Whoever has not registered with this daemon may still look for the former one.
void DaemonCore::TellWhoLeads() {
  if (now_ - begun_ > WorkerRegistry::kForgetLeases * times_.lease_us) untold_.clear();
  for (const auto& [address, job] : untold_) {
    if (!job.empty()) out_.push_back(Introduce{address, job});
    Send send{address, {}};
    send.message.mutable_driver_leads()->set_address(leadership_.address);
    out_.push_back(std::move(send));
  }
}

void DaemonCore::On(const Received& event) {
  const proto::Envelope& m = event.message;
  switch (m.message_case()) {
    case proto::Envelope::kWorkerRegister:
      return OnWorkerRegister(event.from, m.worker_register());
    case proto::Envelope::kWorkerHeartbeat:
      return OnHeartbeat(event.from, m.worker_heartbeat());
    case proto::Envelope::kJobDriverRegister:
      return OnDriverRegister(event.from, m.job_driver_register());
    case proto::Envelope::kJobStatus:
      return OnStatus(event.from, m.job_status());
    default:
      return;  // not for a driver daemon
  }
}

void DaemonCore::OnWorkerRegister(const std::string& from, const proto::WorkerRegister& worker) {
  proto::Envelope answer;
  bool changed = false;
  std::string refused = workers_.Register(now_, from, worker, &changed);
  answer.mutable_worker_registered()->set_lease_ms(times_.lease_us / 1000);
  answer.mutable_worker_registered()->set_refused(refused);
  answer.mutable_worker_registered()->set_tells_binaries(true);
  for (const std::string& digest : BinariesInUse()) {
    answer.mutable_worker_registered()->add_binaries(digest);
  }
  out_.push_back(Send{from, std::move(answer)});
  untold_.erase(from);
  if (!changed) return;
  reallocate_ = true;
  if (leadership_.epoch != 0) dirty_ = true;  // whoever takes over is to know it
  out_.push_back(Say{"worker " + worker.worker_id() + " at " + worker.address() + " registered, " +
                     std::to_string(worker.slots()) + " slots"});
}

void DaemonCore::OnHeartbeat(const std::string& from, const proto::WorkerHeartbeat& heartbeat) {
  bool changed = false;
  if (!workers_.Heartbeat(now_, heartbeat, &changed)) {
    proto::Envelope answer;
    answer.mutable_worker_registered()->set_register_again(true);
    out_.push_back(Send{from, std::move(answer)});
  }
  if (changed) reallocate_ = true;
  EndExecutorsOfEndedJobs(from, heartbeat);
}

// Their own job driver may have been killed before it could. A job that is not known here may run
// all the same: of another daemon, or of one whose table is lost.
void DaemonCore::EndExecutorsOfEndedJobs(const std::string& worker,
                                         const proto::WorkerHeartbeat& heartbeat) {
  std::set<uint64_t> over;
  for (const proto::ExecutorStatus& executor : heartbeat.executors()) {
    const JobLife* job = Find(executor.job());
    if (job != nullptr && job->IsOver(executor.job_instance())) {
      over.insert(executor.job_instance());
    }
  }
  // Of one that has finished the blocks go, too, where the word of its job driver did not come; of
  // one that ended otherwise when nobody has taken it up for long.
  const std::set<uint64_t> left(heartbeat.left_jobs().begin(), heartbeat.left_jobs().end());
  std::set<uint64_t> finished;
  for (const uint64_t instance : heartbeat.silent_jobs()) {
    // It may go on under another name; of a job whose driver has not registered nobody knows yet.
    const bool taken_up = std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& job) {
      const uint64_t other = job->record().job_instance();
      return !job->ended() && (other == 0 || other == instance);
    });
    const bool nobodys = left.contains(instance) || NobodyTakesUp(instance);
    if (nobodys && !taken_up) finished.insert(instance);
  }
  if (over.empty() && finished.empty()) return;
  Send send{worker, {}};
  for (const uint64_t job : over) send.message.mutable_jobs_over()->add_job_instances(job);
  for (const uint64_t job : finished) send.message.mutable_jobs_over()->add_finished(job);
  out_.push_back(std::move(send));
}

void DaemonCore::OnDriverRegister(const std::string& from,
                                  const proto::JobDriverRegister& driver) {
  JobLife* job = Find(driver.job());
  if (job == nullptr || job->ended()) {
    out_.push_back(Say{"a job driver at " + from + " registered for job " + driver.job() +
                       ", which does not run here"});
    return;
  }
  const bool known = job->record().opened();
  untold_.erase(from);
  if (job->OnRegister(now_, from, driver, &out_)) dirty_ = true;
  if (!known) reallocate_ = true;
  TellMembers(*job);
}

void DaemonCore::OnStatus(const std::string& from, const proto::JobStatus& status) {
  JobLife* job = Find(status.job());
  if (job == nullptr || job->ended()) return;
  if (job->OnStatus(now_, from, status, &out_)) dirty_ = true;
  if (job->ended()) reallocate_ = true;
  if (times_.slow_drain_ms == 0) return;
  for (const proto::SlowWorker& slow : status.slow_workers()) DrainSlow(status.job(), slow);
}

// Two others must be up, and none on its way out: a drain moves its work to them.
void DaemonCore::DrainSlow(const std::string& job, const proto::SlowWorker& slow) {
  size_t others = 0;
  const WorkerRegistry::Worker* found = nullptr;
  for (const auto& [id, worker] : workers_.workers()) {
    if (!worker.live) continue;
    if (!worker.last.drain().empty()) return;
    if (id == slow.worker_id()) {
      found = &worker;
    } else {
      ++others;
    }
  }
  if (found == nullptr || others < 2 || !slow_told_.insert(found->self.incarnation()).second) {
    return;
  }
  proto::Envelope message;
  message.mutable_drain_worker()->set_deadline_ms(times_.slow_drain_ms);
  out_.push_back(Send{found->link, std::move(message)});
  out_.push_back(Say{"worker " + slow.worker_id() + " is slow, says job " + job +
                     ": it is to drain"});
}

void DaemonCore::On(const PeerDown& event) {
  if (!event.refused) return;  // proves nothing: leases decide
  if (workers_.PeerEnded(event.address)) {
    reallocate_ = true;
    out_.push_back(Say{"worker at " + event.address + " has ended"});
  }
  untold_.erase(event.address);
  for (auto& job : jobs_) {
    if (job->OnPeerEnded(now_, event.address, &out_)) dirty_ = reallocate_ = true;
  }
}

void DaemonCore::On(const SubmitJob& event) {
  const std::string& name = event.spec.name();
  JobLife* former = Find(name);
  if (former != nullptr && !former->ended()) {
    return Reply(event.request, 3,
                 "a job of this name is running already; drain or cancel it first: " + name);
  }
  submitted_ = name;
  replaced_ = Take(name);
  if (replaced_ != nullptr && replaced_->record().job_instance() != 0) {
    formers_.push_back({replaced_->record().job_instance(), name,
                        replaced_->record().spec().checkpoint()});
    if (formers_.size() > kFormersMax) formers_.pop_front();
  }
  proto::JobRecord record;
  *record.mutable_spec() = event.spec;
  record.set_run(event.run);
  record.set_submitted_ms(event.wall_ms);
  record.set_had_log(replaced_ != nullptr && replaced_->NeedsItsLog(event.spec));
  jobs_.push_back(std::make_unique<JobLife>(std::move(record), times_, host_));
  jobs_.back()->Launch(&out_);
  dirty_ = reallocate_ = true;
  Reply(event.request, 0, event.run);
}

JobLife* DaemonCore::FindRunning(uint64_t request, const std::string& name) {
  JobLife* job = Find(name);
  if (job == nullptr) {
    Reply(request, 1, "no job of this name: " + name);
    return nullptr;
  }
  if (job->ended()) {
    Reply(request, 1, "the job has ended (" + job->record().status().state() + "): " + name);
    return nullptr;
  }
  return job;
}

void DaemonCore::On(const StopJob& event) {
  JobLife* job = FindRunning(event.request, event.job);
  if (job == nullptr) return;
  job->Stop(now_, event.drain, event.deadline_ms, &out_);
  dirty_ = reallocate_ = true;
  Reply(event.request, 0, "");
}

void DaemonCore::On(const AcceptJobLoss& event) {
  proto::Envelope message;
  message.mutable_accept_loss();
  TellJob(event.request, event.job, message);
}

void DaemonCore::On(const ReplayWish& event) {
  proto::Envelope message;
  *message.mutable_replay_letters() = event.letters;
  TellJob(event.request, event.job, message);
}

void DaemonCore::TellJob(uint64_t request, const std::string& name,
                         const proto::Envelope& message) {
  JobLife* job = FindRunning(request, name);
  if (job == nullptr) return;
  size_t before = out_.size();
  job->Tell(message, &out_);
  bool sent = out_.size() != before;
  Reply(request, sent ? 0 : 1,
        sent ? "" : "the job's driver is not up at the moment; try again: " + name);
}

void DaemonCore::On(const DrainWorkerWish& event) {
  const auto worker = workers_.workers().find(event.worker);
  if (worker == workers_.workers().end() || !worker->second.live) {
    return Reply(event.request, 1, "no worker of this id is up: " + event.worker);
  }
  proto::Envelope message;
  message.mutable_drain_worker()->set_deadline_ms(event.deadline_ms);
  out_.push_back(Send{worker->second.link, std::move(message)});
  out_.push_back(Say{"worker " + event.worker + " is to drain"});
  Reply(event.request, 0, "");
}

void DaemonCore::On(const DrainAll& event) {
  for (auto& job : jobs_) {
    if (!job->ended()) job->Stop(now_, /*drain=*/true, event.deadline_ms, &out_);
  }
  dirty_ = reallocate_ = true;
}

void DaemonCore::On(const DriverStarted& event) {
  if (JobLife* job = Find(event.job)) job->OnStarted(event);
  dirty_ = true;
}

void DaemonCore::On(const DriverNotStarted& event) {
  JobLife* job = Find(event.job);
  if (job == nullptr) return;
  job->OnNotStarted(now_, event.error, &out_);
  dirty_ = reallocate_ = true;
}

void DaemonCore::On(const DriverExited& event) {
  JobLife* job = Find(event.job);
  if (job == nullptr) return;
  job->OnExited(now_, event, &out_);
  dirty_ = reallocate_ = true;
}

void DaemonCore::On(const FormerEnded& event) {
  JobLife* job = Find(event.job);
  if (job == nullptr) return;
  job->OnFormerEnded(now_, &out_);
  dirty_ = reallocate_ = true;
}

// Before that the daemon that comes next might start it with --fresh --discard-checkpoint again.
void DaemonCore::On(const Saved&) {
  for (auto& job : jobs_) {
    if (job->NoteSaved()) TellMembers(*job);
  }
}

// Whoever submitted is told that it was not taken.
void DaemonCore::On(const NotSaved&) {
  if (submitted_.empty()) return;
  Take(submitted_);
  if (replaced_ != nullptr) jobs_.push_back(std::move(replaced_));
  dirty_ = reallocate_ = true;
}

void DaemonCore::Allocate() {
  std::map<std::string, uint32_t> live;
  for (const auto& [id, worker] : workers_.workers()) {
    if (worker.live) live[id] = worker.self.slots();
  }
  std::vector<SlotClaim> claims;
  for (const auto& job : jobs_) {
    if (job->ended()) continue;
    // One that may yet be refused takes what is free, but disturbs nobody.
    SlotClaim claim{job->name(), MaxSlots(job->record().spec()), {}, job->record().opened()};
    for (const auto& [worker, slots] : job->record().slots()) claim.held[worker] = slots;
    claims.push_back(std::move(claim));
  }
  if (AllocateSlots(live, &claims, now_ >= settled_at_)) dirty_ = true;
  for (const SlotClaim& claim : claims) {
    auto* slots = Find(claim.job)->mutable_record()->mutable_slots();
    slots->clear();
    for (const auto& [worker, count] : claim.held) (*slots)[worker] = count;
  }
  TellAllMembers();
}

bool DaemonCore::MayTellMembers(const JobLife& job) const {
  return !job.ended() && job.opened_on_disk() && (now_ >= settled_at_ || !job.adopted());
}

void DaemonCore::TellMembers(const JobLife& job) {
  if (!MayTellMembers(job)) return;
  proto::Envelope message;
  auto* members = message.mutable_cluster_members();
  for (const auto& [id, worker] : workers_.workers()) {
    auto held = job.record().slots().find(id);
    if (!worker.live || held == job.record().slots().end()) continue;
    auto* member = members->add_workers();
    member->set_worker_id(id);
    member->set_incarnation(worker.self.incarnation());
    member->set_address(worker.self.address());
    member->set_host(worker.self.host());
    member->set_slots(held->second);
    member->set_draining(!worker.last.drain().empty());
  }
  job.Tell(message, &out_);
}

void DaemonCore::TellAllMembers() {
  for (const auto& job : jobs_) TellMembers(*job);
}

std::unique_ptr<JobLife> DaemonCore::Take(const std::string& name) {
  const auto found = std::find_if(jobs_.begin(), jobs_.end(),
                                  [&](const auto& job) { return job->name() == name; });
  if (found == jobs_.end()) return nullptr;
  std::unique_ptr<JobLife> taken = std::move(*found);
  jobs_.erase(found);
  return taken;
}

JobLife* DaemonCore::Find(const std::string& name) {
  return const_cast<JobLife*>(std::as_const(*this).Find(name));
}

const JobLife* DaemonCore::Find(const std::string& name) const {
  for (const auto& job : jobs_) {
    if (job->name() == name) return job.get();
  }
  return nullptr;
}

void DaemonCore::Reply(uint64_t request, int exit_code, const std::string& message) {
  Answer answer{request, {}};
  answer.outcome.set_exit_code(exit_code);
  answer.outcome.set_message(message);
  out_.push_back(std::move(answer));
}

}  // namespace sluice::daemon
