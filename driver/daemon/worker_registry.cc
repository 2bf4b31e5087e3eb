#include "driver/daemon/worker_registry.h"

#include "common/role_flags.h"

namespace sluice {

std::string WorkerRegistry::Register(MonotonicTime now, const std::string& from,
                                     const proto::WorkerRegister& worker, bool* changed) {
  if (worker.worker_id().empty()) return "a worker without an id";
  if (worker.protocol() != 0 && worker.protocol() != kProtocolVersion) {
    return "the worker speaks protocol " + std::to_string(worker.protocol()) +
           ", the driver daemon " + std::to_string(kProtocolVersion);
  }
  if (!worker.machine().empty() && worker.machine() != "x86_64") {
    return "the worker's machine is not x86_64: " + worker.machine();
  }
  Worker& entry = workers_[worker.worker_id()];
  bool same = entry.live && entry.self.incarnation() == worker.incarnation() &&
              entry.self.address() == worker.address() && entry.self.slots() == worker.slots();
  if (!same) *changed = true;
  if (entry.self.incarnation() != worker.incarnation()) entry.last.Clear();
  if (worker.draining() && entry.last.drain().empty()) {
    entry.last.set_drain("draining");
    *changed = true;
  }
  entry.self = worker;
  entry.link = from;
  entry.heard = now;
  entry.live = true;
  return "";
}

bool WorkerRegistry::Heartbeat(MonotonicTime now, const proto::WorkerHeartbeat& heartbeat,
                               bool* changed) {
  auto entry = workers_.find(heartbeat.worker_id());
  if (entry == workers_.end() ||
      entry->second.self.incarnation() != heartbeat.incarnation()) {
    return false;
  }
  Worker& worker = entry->second;
  const std::string before = worker.last.drain();
  worker.last = heartbeat;
  if (heartbeat.drain().empty() && before == "draining") worker.last.set_drain(before);
  if (worker.last.drain() != before) *changed = true;
  worker.heard = now;
  const bool ends = heartbeat.drain() == "drained" || heartbeat.drain() == "forced";
  if (worker.live == ends) *changed = true;
  worker.live = !ends;
  return true;
}

bool WorkerRegistry::PeerEnded(const std::string& address) {
  bool changed = false;
  for (auto& [id, worker] : workers_) {
    if (!worker.live || (worker.self.address() != address && worker.link != address)) continue;
    worker.live = false;
    changed = true;
  }
  return changed;
}

bool WorkerRegistry::Expire(MonotonicTime now) {
  bool changed = false;
  for (auto entry = workers_.begin(); entry != workers_.end();) {
    Worker& worker = entry->second;
    MonotonicTime silent = now - worker.heard;
    if (worker.live && silent > lease_us_) {
      worker.live = false;
      changed = true;
    }
    entry = !worker.live && silent > kForgetLeases * lease_us_ ? workers_.erase(entry)
                                                               : std::next(entry);
  }
  return changed;
}

void WorkerRegistry::RenewAll(MonotonicTime now) {
  for (auto& [id, worker] : workers_) worker.heard = now;
}

// UP, DRAINING, DRAINED, FORCED (its drain's deadline passed) or LOST.
static std::string StateOf(const WorkerRegistry::Worker& worker) {
  const std::string& drain = worker.last.drain();
  if (drain == "drained") return "DRAINED";
  if (drain == "forced") return "FORCED";
  if (!worker.live) return "LOST";
  return drain == "draining" ? "DRAINING" : "UP";
}

std::vector<proto::WorkerInfo> WorkerRegistry::Infos() const {
  std::vector<proto::WorkerInfo> infos;
  for (const auto& [id, worker] : workers_) {
    proto::WorkerInfo info;
    info.set_id(id);
    info.set_address(worker.self.address());
    info.set_host(worker.self.host());
    info.set_state(StateOf(worker));
    info.set_slots(worker.self.slots());
    info.set_pid(worker.self.pid());
    if (worker.live) {
      info.set_blocks_bytes(worker.last.blocks_bytes());
      info.set_under_replicated_blocks(worker.last.under_replicated_blocks());
      *info.mutable_executors() = worker.last.executors();
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

}  // namespace sluice
