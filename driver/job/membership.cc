#include "driver/job/membership.h"

#include <algorithm>

#include "common/delta_stream.h"
#include "common/fault_point.h"

namespace sluice {
namespace {

// How long a generation waits for executors that are on their way up.
constexpr MonotonicTime kStartPatienceUs = 3'000'000;
constexpr MonotonicTime kAskAgainUs = 1'000'000;
constexpr int64_t kSessionPauseMaxUs = 60'000'000;
constexpr int kForgetLeases = 24;  // of silence, of a worker that the driver daemon does not list
constexpr MonotonicTime kBackoffFirstUs = 100'000;
constexpr MonotonicTime kBackoffLastUs = 10'000'000;

}  // namespace

std::string Membership::BackoffKey(const ExecutorEntry& executor) {
  return executor.worker_id + (executor.receivers ? "/r" : executor.apart ? "/a" : "/t");
}

void Membership::SetJob(uint64_t job_instance, proto::ExecutorInit init) {
  job_instance_ = job_instance;
  init_ = std::move(init);
}

void Membership::OnMembers(MonotonicTime now, const proto::ClusterMembers& members,
                           MembershipNews& news) {
  members_known_ = true;
  members_ = members;
  std::set<std::string> present;
  for (const auto& member : members.workers()) {
    present.insert(member.worker_id());
    WorkerEntry& worker = workers_[member.worker_id()];
    if (worker.member.incarnation() == member.incarnation()) {
      const bool draining = worker.member.draining();  // for good
      worker.member = member;  // a lost one is back when it answers, not when it is listed
      worker.member.set_draining(draining || member.draining());
      if (worker.member.draining() == draining) continue;
      for (auto& [id, other] : workers_) other.session_due |= !other.lost;
      continue;
    }
    if (worker.member.incarnation() != 0 && !worker.lost) LoseWorker(worker, true, news);
    worker = WorkerEntry{};
    worker.member = member;
    worker.heard = worker.listed = now;
    auto former = forgotten_zombies_.extract(member.worker_id());
    if (!former.empty() && former.mapped().first == member.incarnation()) {
      worker.zombies = std::move(former.mapped().second);
    }
    for (auto& [id, other] : workers_) other.session_due = !other.lost;
  }
  // A worker that the daemon no longer knows is judged by our own lease with it, not by the
  // daemon's word: the daemon is on no running job's path.
}

void Membership::OnInventory(MonotonicTime now, const proto::WorkerInventory& inventory,
                             MembershipNews& news) {
  const auto it = workers_.find(inventory.worker_id());
  if (it == workers_.end() || inventory.epoch() != epoch_ ||
      it->second.member.incarnation() != inventory.incarnation()) {
    return;
  }
  WorkerEntry& worker = it->second;
  worker.heard = now;
  worker.session_taken |= inventory.session() == worker.session;
  if (worker.answered) return;
  worker.answered = true;
  if (worker.lost) {  // it is back: its peers may replicate to it again
    for (auto& [id, other] : workers_) other.session_due |= !other.lost;
    worker.session_due = true;  // others may have been lost since the one that it answers was sent
  }
  worker.lost = worker.gone = false;
  news.answered_workers.push_back(inventory.worker_id());
  for (const auto& live : inventory.receivers()) AdoptReceiver(now, worker, live, news);
}

void Membership::OnBeat(MonotonicTime now, const proto::LeaseBeat& beat, MembershipNews& news,
                        std::vector<DriverCommand>& out) {
  const auto it = workers_.find(beat.worker_id());
  if (it == workers_.end() || it->second.member.incarnation() != beat.incarnation()) return;
  WorkerEntry& worker = it->second;
  worker.heard = now;
  const bool of_now = beat.epoch() == epoch_;
  const bool concerns = !worker.lost && (of_now || !worker.answered);
  if (!beat.reply() && concerns && IsDeaf(now, worker)) return LoseWorker(worker, false, news);
  if (!of_now) return;
  CompareReceivers(now, beat, news, out);
}

// Of a worker that has heard nothing for a lease: it is of no use, though it is heard. Unless it
// was not told anything, because we slept, or it is still to take its session.
bool Membership::IsDeaf(MonotonicTime now, const WorkerEntry& worker) const {
  if (now - last_timer_ > options_.lease_us / 2) return false;
  const MonotonicTime told_since = std::max(awake_since_, worker.listed);
  const int64_t patience = worker.answered ? 0 : options_.lease_us + 2 * kSessionPauseUs;
  return now - told_since > options_.lease_us + patience;
}

void Membership::Heard(MonotonicTime now, const std::string& address) {
  for (auto& [id, worker] : workers_) {
    if (worker.member.address() == address && !worker.lost) worker.heard = now;
  }
}

void Membership::OnHello(MonotonicTime now, const proto::ExecutorHello& hello,
                         std::vector<DriverCommand>& out) {
  const auto it = executors_.find(hello.executor());
  if (it == executors_.end() || hello.epoch() != epoch_ || it->second.adopted) return;
  it->second.address = hello.link_address();
  it->second.push_address = hello.push_address();
  it->second.asked = now;
  if (it->second.receivers || probed_outputs_.has_value()) SendInit(it->second, out);
}

void Membership::OnReady(MonotonicTime now, const proto::ExecutorReady& ready,
                         MembershipNews& news) {
  const auto it = executors_.find(ready.executor());
  if (it == executors_.end()) return;
  if (!ready.refused().empty()) {
    news.refused = {it->first, ready.refused()};
    return;
  }
  BecomeReady(now, it->second, news);
}

void Membership::BecomeReady(MonotonicTime now, ExecutorEntry& executor, MembershipNews& news) {
  if (executor.phase == ExecutorEntry::Phase::kReady) return;
  executor.phase = ExecutorEntry::Phase::kReady;
  executor.started = now;
  backoff_.erase(BackoffKey(executor));
  failed_starts_.erase(BackoffKey(executor));
  news.executors_changed |= !executor.receivers;
  if (!executor.receivers) return;
  for (const auto& [stream, incarnation] : executor.streams) {
    news.receivers_up.emplace_back(stream, executor.worker_id);
  }
}

bool Membership::IsOfOurs(const std::string& from, const proto::ExecutorExited& exited) const {
  if (exited.epoch() == epoch_) return true;
  const auto it = executors_.find(exited.executor());
  return it != executors_.end() && it->second.adopted && AddressOf(it->second.worker_id) == from;
}

void Membership::OnExited(MonotonicTime now, const proto::ExecutorExited& exited,
                          MembershipNews& news) {
  const auto it = executors_.find(exited.executor());
  if (it == executors_.end()) return;
  if (exited.epoch() != epoch_ && !it->second.adopted) return;
  NoteStart(it->second, exited);
  LoseExecutor(now, exited.executor(), news);
}

void Membership::OnPeerDown(MonotonicTime now, const PeerDown& down, MembershipNews& news) {
  for (auto& [id, worker] : workers_) {
    if (worker.member.address() != down.address) continue;
    worker.session_pause = kSessionPauseUs;  // what was asked may be lost
    if (!down.refused) continue;  // a broken connection alone proves nothing: the lease runs
    if (!worker.lost) LoseWorker(worker, true, news);
    worker.gone = true;
  }
  if (!down.refused) return;
  std::vector<uint32_t> gone;
  for (const auto& [id, executor] : executors_) {
    if (executor.address == down.address && !executor.address.empty()) gone.push_back(id);
  }
  for (const uint32_t id : gone) LoseExecutor(now, id, news);
}

void Membership::OnTimer(MonotonicTime now, MembershipNews& news,
                         std::vector<DriverCommand>& out) {
  // At the first timer nobody has been asked to say anything.
  const bool overslept = last_timer_ == 0 || now - last_timer_ > options_.lease_us / 2;
  if (overslept) awake_since_ = now;
  last_timer_ = now;
  for (auto& [id, worker] : workers_) {
    if (overslept) worker.heard = worker.of_use = now;
    if (!worker.lost && now - worker.heard > options_.lease_us) LoseWorker(worker, false, news);
    // Repeated until it is answered: a lost one would leave a worker without its new peers.
    const bool open = !worker.answered || !worker.session_taken;
    // Less and less often: an inventory that takes long would be asked for anew, whole, for ever.
    const bool again = open && now - worker.session_sent >= worker.session_pause;
    if (worker.session_due || again || Fires(FaultPoint::kSessionAgain)) {
      const bool longer = again && !worker.session_due && !worker.lost;
      worker.session_pause =
          longer ? std::min(2 * worker.session_pause, kSessionPauseMaxUs) : kSessionPauseUs;
      SendSession(now, worker, out);
    }
    if (worker.answered && now - worker.beat_sent >= options_.lease_us / 10) {
      SendBeat(now, worker, out);
    }
  }
  ForgetWorkers(now, news);
  if (!receivers_stopped_) Resize(now, news, out);
  StartMissing(now, out);
  StartApart(now, out);
  if (receivers_stopped_) return;
  MoveLateReceivers(now, news, out);
  PlaceReceivers(now, out);
}

void Membership::LoseWorker(WorkerEntry& worker, bool gone_for_good, MembershipNews& news) {
  worker.gone = gone_for_good;
  worker.lost = true;
  worker.of_use = worker.heard;
  worker.answered = false;
  news.lost_workers.push_back(worker.member.worker_id());
  std::vector<uint32_t> gone;
  for (const auto& [id, executor] : executors_) {
    if (executor.worker_id == worker.member.worker_id() &&
        executor.worker_incarnation == worker.member.incarnation()) {
      gone.push_back(id);
    }
  }
  for (const uint32_t id : gone) LoseExecutor(worker.heard, id, news);
  for (const uint32_t id : gone) AskToStop(worker, id);
  for (auto& [id, other] : workers_) other.session_due = !other.lost;
}

// Should it come back it is listed again, and says what it has.
void Membership::ForgetWorkers(MonotonicTime now, MembershipNews& news) {
  for (auto it = workers_.begin(); it != workers_.end();) {
    const std::string id = it->first;
    const WorkerEntry& worker = it->second;
    const auto& listed = members_.workers();
    const bool kept = !worker.lost || now - worker.heard <= kForgetLeases * options_.lease_us ||
                      std::any_of(listed.begin(), listed.end(), [&](const auto& member) {
                        return member.worker_id() == id;
                      });
    if (kept) {
      ++it;
      continue;
    }
    if (!worker.zombies.empty()) {
      forgotten_zombies_[id] = {worker.member.incarnation(), worker.zombies};
    }
    it = workers_.erase(it);
    for (const char* role : {"/t", "/r", "/a"}) {
      backoff_until_.erase(id + role);
      backoff_.erase(id + role);
      holds_.erase(id + role);
      failed_starts_.erase(id + role);
    }
    news.forgotten_workers.push_back(id);
  }
}

void Membership::LoseExecutor(MonotonicTime now, uint32_t id, MembershipNews& news) {
  const auto it = executors_.find(id);
  if (it == executors_.end()) return;
  const ExecutorEntry& executor = it->second;
  if (executor.receivers) {
    for (const auto& [stream, incarnation] : executor.streams) {
      news.dead_receivers.emplace_back(stream, incarnation);
      if (executor.phase == ExecutorEntry::Phase::kReady) {
        news.receivers_down.emplace_back(stream, executor.worker_id);
      }
    }
  } else if (executor.phase == ExecutorEntry::Phase::kReady) {
    news.executors_changed = true;
  }
  const std::string place = BackoffKey(executor);
  MonotonicTime& backoff = backoff_[place];
  // The first restart is immediate; one that died young waits longer each time.
  const bool young = now - executor.started < kStartPatienceUs;
  backoff_until_[place] = young && backoff > 0 ? now + backoff : now;
  backoff = young ? std::min(std::max(backoff * 2, kBackoffFirstUs), kBackoffLastUs)
                  : kBackoffFirstUs;
  executors_.erase(it);
}

std::vector<WorkerEntry*> Membership::Serving() {
  std::vector<WorkerEntry*> serving;
  for (auto& [id, worker] : workers_) {
    if (!worker.lost && worker.answered) serving.push_back(&worker);
  }
  return serving;
}

void Membership::StartMissing(MonotonicTime now, std::vector<DriverCommand>& out) {
  // Which ids are taken by receivers of former epochs is known when all inventories are in.
  for (WorkerEntry* worker : InventoriesIn() ? Serving() : std::vector<WorkerEntry*>()) {
    const std::string& id = worker->member.worker_id();
    const bool has = std::any_of(executors_.begin(), executors_.end(), [&](const auto& e) {
      return !e.second.receivers && !e.second.apart && e.second.worker_id == id;
    });
    if (has || worker->member.slots() == 0 || backoff_until_[id + "/t"] > now) continue;
    ExecutorEntry executor;
    executor.id = next_executor_++;
    executor.worker_id = id;
    executor.worker_incarnation = worker->member.incarnation();
    executor.slots = worker->member.slots();
    executor.started = now;
    SendStart(now, executors_[executor.id] = executor, out);
  }
  for (auto& [id, executor] : executors_) {
    const bool wanted = !(executor.receivers && receivers_stopped_);
    const bool starting = executor.phase == ExecutorEntry::Phase::kStarting;
    if (wanted && starting && now - executor.asked > kAskAgainUs) SendStart(now, executor, out);
  }
}

void Membership::SendStart(MonotonicTime now, ExecutorEntry& executor,
                           std::vector<DriverCommand>& out) {
  executor.asked = now;
  if (options_.deltas && !executor.receivers && executor.streams.empty()) {
    executor.streams[kDeltaStream] = random_();
  }
  Send send{AddressOf(executor.worker_id), {}};
  auto& start = *send.message.mutable_start_executor();
  start.set_job_instance(job_instance_);
  start.set_epoch(epoch_);
  start.set_executor(executor.id);
  start.set_role(executor.receivers ? "receivers" : "tasks");
  start.set_slots(executor.slots);
  start.set_binary_digest(options_.binary_digest);
  for (const std::string& arg : options_.args) start.add_args(arg);
  for (const JobFile& file : options_.files) {
    auto& shipped = *start.add_files();
    shipped.set_name(file.name);
    shipped.set_digest(file.digest);
  }
  start.set_job(options_.job);
  start.set_program(options_.program);
  start.set_job_driver_address(options_.own_address);
  start.set_worker_incarnation(executor.worker_incarnation);
  for (const auto& [stream, incarnation] : executor.streams) {
    start.add_streams(stream);
    start.add_incarnations(incarnation);
  }
  out.push_back(std::move(send));
}

void Membership::Evict(MonotonicTime now, uint32_t executor, MembershipNews& news,
                       std::vector<DriverCommand>& out) {
  const auto it = executors_.find(executor);
  if (it == executors_.end()) return;
  SendStop(it->second.worker_id, executor, out);
  AskToStop(workers_.at(it->second.worker_id), executor);
  LoseExecutor(now, executor, news);
}

void Membership::StopExecutors(std::vector<DriverCommand>& out) {
  for (const auto& [id, executor] : executors_) SendStop(executor.worker_id, id, out);
}

void Membership::EndJob(std::vector<DriverCommand>& out) {
  for (const auto& [id, worker] : workers_) {
    Send send{worker.member.address(), {}};
    send.message.mutable_job_ended()->set_job_instance(job_instance_);
    send.message.mutable_job_ended()->set_epoch(epoch_);
    out.push_back(std::move(send));
  }
}

bool Membership::InventoriesIn() const {
  return members_known_ && std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) {
           return worker.second.answered || worker.second.lost;
         });
}

bool Membership::Settled(MonotonicTime now) const {
  const bool starting =
      std::any_of(executors_.begin(), executors_.end(), [&](const auto& entry) {
        const ExecutorEntry& e = entry.second;
        return !e.receivers && !e.apart && e.phase == ExecutorEntry::Phase::kStarting &&
               now - e.started < kStartPatienceUs;
      });
  const std::vector<const ExecutorEntry*> ready = ReadyTaskExecutors();
  const bool any = std::any_of(ready.begin(), ready.end(),
                               [](const ExecutorEntry* executor) { return !executor->apart; });
  return InventoriesIn() && !starting && any && ApartSettled();
}

std::vector<const ExecutorEntry*> Membership::ReadyTaskExecutors() const {
  std::vector<const ExecutorEntry*> ready;
  for (const auto& [id, executor] : executors_) {
    if (!executor.receivers && executor.phase == ExecutorEntry::Phase::kReady) {
      ready.push_back(&executor);
    }
  }
  return ready;
}

uint64_t Membership::IncarnationOf(const std::string& worker_id) const {
  const auto it = workers_.find(worker_id);
  return it == workers_.end() ? 0 : it->second.member.incarnation();
}

bool Membership::HasEnded(const std::string& worker_id, uint64_t incarnation) const {
  const auto it = workers_.find(worker_id);
  return it == workers_.end() || it->second.member.incarnation() != incarnation ||
         (it->second.lost && it->second.gone);
}

bool Membership::WorkerServes(const std::string& worker_id) const {
  const auto it = workers_.find(worker_id);
  return it != workers_.end() && !it->second.lost && it->second.answered;
}

bool Membership::WorkerStays(const std::string& worker_id) const {
  const auto it = workers_.find(worker_id);
  return WorkerServes(worker_id) && !it->second.member.draining();
}

std::string Membership::AddressOf(const std::string& worker_id) const {
  const auto it = workers_.find(worker_id);
  return it == workers_.end() ? "" : it->second.member.address();
}

std::string Membership::HostOf(const std::string& worker_id) const {
  const auto it = workers_.find(worker_id);
  return it == workers_.end() ? "" : it->second.member.host();
}

uint32_t Membership::ClusterSlots() const {
  uint32_t slots = 0;
  for (const auto& [id, worker] : workers_) {
    if (!worker.lost) slots += worker.member.slots();
  }
  return slots;
}

}  // namespace sluice
