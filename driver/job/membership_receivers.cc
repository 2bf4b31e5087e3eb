// Where receivers run: one to each stream, taken up from a former epoch or placed where the fewest
// are.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "driver/job/membership.h"

namespace sluice {
namespace {

// A receiver that is not up after them is placed elsewhere: longer than its daemon waits for it.
constexpr int64_t kStartPatienceUs = 60'000'000;
constexpr int64_t kLateHoldUs = 300'000'000;  // and so is any other in this time

}  // namespace

// One that is not wanted was given up by a driver that could not end it: it is stopped. So is one
// whose id an executor of this epoch has already, because its worker was away when that was given.
void Membership::AdoptReceiver(MonotonicTime now, WorkerEntry& worker,
                               const proto::WorkerInventory::LiveReceiver& live,
                               MembershipNews& news) {
  if (ReceiverAlive(live.stream(), live.incarnation())) return;
  next_executor_ = std::max(next_executor_, live.executor() + 1);
  worker.zombies.erase(live.executor());
  if (receivers_stopped_ || forgotten_(live.stream(), live.incarnation()) ||
      ReceiverOf(live.stream()) != nullptr || executors_.contains(live.executor())) {
    return AskToStop(worker, live.executor());
  }
  ExecutorEntry& executor = executors_[live.executor()];
  executor.id = live.executor();
  executor.phase = ExecutorEntry::Phase::kReady;
  executor.receivers = executor.adopted = true;
  executor.worker_id = worker.member.worker_id();
  executor.worker_incarnation = worker.member.incarnation();
  executor.push_address = live.push_address();
  executor.started = executor.named = now;
  executor.streams[live.stream()] = live.incarnation();
  news.receivers_up.emplace_back(live.stream(), executor.worker_id);
}

// A receiver says a few times that it is up, and its daemon that it has ended; all of that may get
// lost. Each beat of the daemon names those that receive. A beat may be late, so one that is not
// named is given up after a lease only, and stopped in case it lives.
void Membership::CompareReceivers(MonotonicTime now, const proto::LeaseBeat& beat,
                                  MembershipNews& news, std::vector<DriverCommand>& out) {
  std::set<std::pair<uint32_t, uint64_t>> live;
  for (const auto& receiver : beat.taken()) live.emplace(receiver.stream(), receiver.incarnation());
  std::vector<uint32_t> gone;
  for (auto& [id, executor] : executors_) {
    if (!executor.receivers || executor.worker_id != beat.worker_id()) continue;
    const bool lives = std::all_of(executor.streams.begin(), executor.streams.end(),
                                   [&](const auto& stream) { return live.contains(stream); });
    if (lives) {
      executor.named = now;
      BecomeReady(now, executor, news);
    } else if (executor.named != 0 && now - executor.named > options_.lease_us) {
      gone.push_back(id);
    }
  }
  for (const uint32_t id : gone) Evict(now, id, news, out);
}

void Membership::PlaceReceivers(MonotonicTime now, std::vector<DriverCommand>& out) {
  std::vector<uint32_t> homeless;
  std::map<std::string, size_t> load;
  for (const uint32_t stream : streams_) {
    if (ReceiverOf(stream) == nullptr) homeless.push_back(stream);
  }
  if (homeless.empty() || !InventoriesIn()) return;
  for (const auto& [id, executor] : executors_) {
    if (executor.receivers) load[executor.worker_id] += executor.streams.size();
  }
  std::vector<WorkerEntry*> places = Serving();
  std::erase_if(places, [&](WorkerEntry* w) {
    return backoff_until_[w->member.worker_id() + "/r"] > now;
  });
  for (const uint32_t stream : homeless) {
    if (places.empty()) return;
    const WorkerEntry* worker =
        *std::min_element(places.begin(), places.end(), [&](WorkerEntry* a, WorkerEntry* b) {
          return load[a->member.worker_id()] < load[b->member.worker_id()];
        });
    ++load[worker->member.worker_id()];
    ExecutorEntry executor;
    executor.id = next_executor_++;
    executor.receivers = true;
    executor.worker_id = worker->member.worker_id();
    executor.worker_incarnation = worker->member.incarnation();
    executor.started = now;
    executor.streams[stream] = random_();
    SendStart(now, executors_[executor.id] = executor, out);
  }
}

// A worker whose disk hangs neither starts a receiver nor says that it cannot. Where other
// executors of the job are up, a receiver would be. Its daemon ends the late one when the start is
// through.
void Membership::MoveLateReceivers(MonotonicTime now, MembershipNews& news,
                                   std::vector<DriverCommand>& out) {
  const auto up_elsewhere = [&](const std::string& worker) {
    return std::any_of(executors_.begin(), executors_.end(), [&](const auto& e) {
      const std::string& other = e.second.worker_id;
      return e.second.phase == ExecutorEntry::Phase::kReady && other != worker &&
             WorkerServes(other) && backoff_until_[other + "/r"] <= now;
    });
  };
  std::vector<uint32_t> late;
  for (const auto& [id, executor] : executors_) {
    const bool starting = executor.phase == ExecutorEntry::Phase::kStarting;
    const bool is_late = now - executor.started > kStartPatienceUs;
    const bool moves = executor.receivers && starting && is_late;
    if (moves && up_elsewhere(executor.worker_id)) late.push_back(id);
  }
  for (const uint32_t id : late) {
    const std::string worker = executors_.at(id).worker_id;
    out.push_back(Say{Say::Level::kWarning,
                      absl::StrCat("receiver executor ", id, " is not up on worker ", worker,
                                   " after a minute: it is placed elsewhere")});
    Evict(now, id, news, out);
    backoff_until_[worker + "/r"] = now + kLateHoldUs;
  }
}

void Membership::StopReceivers(std::vector<DriverCommand>& out) {
  receivers_stopped_ = true;
  for (const auto& [id, executor] : executors_) {
    if (executor.receivers) SendStop(executor.worker_id, id, out);
  }
}

bool Membership::ReceiversUp() const {
  return std::all_of(streams_.begin(), streams_.end(), [&](uint32_t stream) {
    return std::any_of(executors_.begin(), executors_.end(), [&](const auto& e) {
      return e.second.receivers && e.second.phase == ExecutorEntry::Phase::kReady &&
             e.second.streams.contains(stream);
    });
  });
}

const ExecutorEntry* Membership::ReceiverOf(uint32_t stream) const {
  for (const auto& [id, executor] : executors_) {
    if (executor.receivers && executor.streams.contains(stream)) return &executor;
  }
  return nullptr;
}

bool Membership::ReceiverAlive(uint32_t stream, uint64_t incarnation) const {
  return std::any_of(executors_.begin(), executors_.end(), [&](const auto& e) {
    const auto it = e.second.streams.find(stream);
    return it != e.second.streams.end() && it->second == incarnation;
  });
}

std::vector<std::string> Membership::ReceiverWorkers() const {
  std::set<std::string> workers;
  for (const auto& [id, executor] : executors_) {
    if (executor.receivers && executor.phase == ExecutorEntry::Phase::kReady) {
      workers.insert(executor.worker_id);
    }
  }
  return {workers.begin(), workers.end()};
}

std::vector<std::string> Membership::WorkersWithRests() const {
  std::vector<std::string> ids;
  if (streams_.empty()) return ids;
  for (const auto& [id, worker] : workers_) {
    if (!worker.lost) ids.push_back(id);
  }
  return ids;
}

}  // namespace sluice
