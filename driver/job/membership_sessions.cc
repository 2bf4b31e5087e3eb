// What each worker is told until it is known to have heard it: its session, that the job driver
// lives, and which executors are to end.
#include <algorithm>

#include "driver/job/membership.h"

namespace sluice {
namespace {

// With the beats of two leases: a worker that has heard none of them is lost by then, and asked
// anew when it is back.
constexpr int kStopRepeats = 20;

}  // namespace

void Membership::SendSession(MonotonicTime now, WorkerEntry& worker,
                             std::vector<DriverCommand>& out) {
  worker.session_sent = now;
  worker.session_due = false;
  worker.session = ++last_session_;
  worker.session_taken = false;
  Send send{worker.member.address(), {}};
  auto& session = *send.message.mutable_job_session();
  session.set_job(options_.job);
  session.set_job_instance(job_instance_);
  session.set_epoch(epoch_);
  session.set_number(worker.session);
  session.set_lease_ms(options_.lease_us / 1000);
  session.set_durable_slot(durable_slot_);
  session.set_address(options_.own_address);
  session.set_replication(options_.replication);
  session.set_replication_min(options_.replication_min);
  session.set_received_log(options_.received_log);
  for (const auto& [id, other] : workers_) {
    if (!other.lost) *session.mutable_members()->add_workers() = other.member;
  }
  out.push_back(std::move(send));
}

void Membership::SendBeat(MonotonicTime now, WorkerEntry& worker,
                          std::vector<DriverCommand>& out) {
  worker.beat_sent = now;
  Send send{worker.member.address(), {}};
  auto& beat = *send.message.mutable_lease_beat();
  beat.set_job_instance(job_instance_);
  beat.set_epoch(epoch_);
  beat.set_durable_slot(durable_slot_);
  out.push_back(std::move(send));
  for (auto it = worker.zombies.begin(); it != worker.zombies.end();) {
    SendStop(worker.member.worker_id(), it->first, out);
    it = ++it->second >= kStopRepeats ? worker.zombies.erase(it) : std::next(it);
  }
  for (const auto& [id, executor] : executors_) {
    const bool ends = receivers_stopped_ && executor.receivers;
    const bool here = executor.worker_id == worker.member.worker_id();
    if (ends && here) SendStop(executor.worker_id, id, out);
  }
}

void Membership::AskToStop(WorkerEntry& worker, uint32_t executor) {
  worker.zombies[executor] = 0;
}

void Membership::SendStop(const std::string& worker_id, uint32_t executor,
                          std::vector<DriverCommand>& out) {
  Send send{AddressOf(worker_id), {}};
  auto& stop = *send.message.mutable_stop_executor();
  stop.set_job_instance(job_instance_);
  stop.set_epoch(epoch_);
  stop.set_executor(executor);
  out.push_back(std::move(send));
}

uint64_t Membership::SessionOf(const std::string& worker_id) const {
  const auto it = workers_.find(worker_id);
  return it == workers_.end() ? 0 : it->second.session;
}

void Membership::AskInventory(const std::string& worker_id) {
  const auto it = workers_.find(worker_id);
  if (it != workers_.end()) it->second.session_due = !it->second.lost;
}

bool Membership::SessionsTaken() const {
  return InventoriesIn() && std::all_of(workers_.begin(), workers_.end(), [](const auto& entry) {
           const WorkerEntry& worker = entry.second;
           return worker.lost || (worker.session_taken && !worker.session_due);
         });
}

}  // namespace sluice
