// What the nemesis does to a cluster. Chosen by a seed of its own, so that a trace of the same
// seed shows the same disasters.
#include <algorithm>
#include <iterator>

#include "checkpoint/checkpoint_store.h"
#include "tests/sim/cluster.h"

namespace sluice::sim {

void Cluster::NextDisaster() {
  const int64_t mean = site_->world.faults.disaster_us;
  if (mean == 0) return;
  Later(chaos_->Between(mean / 4, 2 * mean), [this] {
    if (site_->calm) return;
    Disaster();
    NextDisaster();
  });
}

void Cluster::Disaster() {
  const Faults& f = site_->world.faults;
  const std::pair<int, std::function<void()>> all[] = {
      {f.crash_job_driver, [this] { CrashDriver(); }},
      {f.pause_job_driver, [this] { PauseDriver(); }},
      {f.crash_executor, [this] { CrashExecutor(false); }},
      {f.crash_receiver, [this] { CrashExecutor(true); }},
      {f.crash_daemon, [this] { CrashDaemon(false); }},
      {f.crash_node, [this] { CrashDaemon(true); }},
      {site_->knobs.received_log ? f.crash_all_nodes : 0, [this] { CrashAllNodes(); }},
      {site_->knobs.received_log ? f.damage_checkpoint : 0, [this] { DamageCheckpoint(); }},
      {f.pause_node, [this] { PauseNode(); }},
      {f.cut_one_way, [this] { CutHosts(false); }},
      {f.cut_both_ways, [this] { CutHosts(true); }},
      {f.full_log, [this] { FillLog(); }},
      {f.forget_unsynced, [this] { PowerLoss(); }},
      {f.jump_wall_clock,
       [this] {
         site_->world.Count("disaster: wall clock jumped");
         site_->wall_offset_ms += chaos_->Between(-3'000, 3'000);
       }},
      {f.lose_membership,
       [this] {
         site_->world.Count("disaster: driver daemon crashed");
         members_down_ = true;
         registered_.clear();
         Later(chaos_->Between(100'000, 2'000'000), [this] { members_down_ = false; });
       }},
      {f.reset_links,
       [this] {
         site_->world.Count("disaster: links reset");
         const auto hosts = Hosts();
         site_->world.ResetLinks(hosts[chaos_->Below(hosts.size())]);
       }},
      {f.reshape, [this] { Reshape(); }},
  };
  int weights = 0;
  for (const auto& [weight, act] : all) weights += weight;
  int choice = static_cast<int>(chaos_->Below(static_cast<uint64_t>(weights)));
  for (const auto& [weight, act] : all) {
    choice -= weight;
    if (choice < 0) return act();
  }
}

std::vector<std::string> Cluster::Hosts() const {
  std::vector<std::string> hosts{"hd", "hm"};
  for (const Slot& slot : workers_) hosts.push_back(slot.host);
  return hosts;
}

void Cluster::CrashDriver() {
  if (drivers_.empty() || !site_->world.alive(drivers_.back()->address())) return;
  site_->world.Count("disaster: job driver crashed");
  site_->world.Trace("chaos", "job driver crashes");
  site_->world.Detach(drivers_.back()->address());
  Later(chaos_->Between(50'000, 500'000), [this] { LaunchDriver(); });
}

// Its successor starts while it is paused, and then it goes on, unaware.
void Cluster::PauseDriver() {
  if (drivers_.empty() || !site_->world.alive(drivers_.back()->address())) return;
  site_->world.Count("disaster: job driver paused and replaced");
  const std::string address = drivers_.back()->address();
  site_->world.Trace("chaos", address + " is paused");
  site_->world.Pause(address);
  Later(chaos_->Between(20'000, 400'000), [this] { LaunchDriver(); });
  Later(chaos_->Between(30'000, 2'000'000), [this, address] {
    site_->world.Trace("chaos", address + " goes on");
    site_->world.Resume(address);
  });
}

void Cluster::CrashExecutor(bool receiver) {
  std::vector<std::pair<WorkerProcess*, ExecutorKey>> all;
  for (const Slot& slot : workers_) {
    if (slot.process == nullptr) continue;
    for (const auto& key : slot.process->executors(receiver)) {
      all.emplace_back(slot.process.get(), key);
    }
  }
  if (all.empty()) return;
  site_->world.Count(receiver ? "disaster: receiver crashed" : "disaster: executor crashed");
  const auto& [worker, key] = all[chaos_->Below(all.size())];
  site_->world.Trace("chaos", worker->address() + " loses executor " +
                                  std::to_string(key.executor));
  if (!receiver && site_->knobs.state_on_disk) {
    site_->killed = true;
    site_->world.Count("state: on disk, its executor killed");
  }
  worker->Crash(key);
}

// What an operator goes by who takes a node down: the job driver knows every daemon that is there,
// and says that every block has its copies.
bool Cluster::BelievedWhole() const {
  const DriverProcess* driver = drivers_.empty() ? nullptr : drivers_.back().get();
  if (driver == nullptr || driver->core() == nullptr || !site_->world.alive(driver->address()) ||
      site_->world.paused(driver->address())) {
    return false;
  }
  const Membership& members = driver->core()->members();
  const bool known = std::all_of(workers_.begin(), workers_.end(), [&](const Slot& slot) {
    return slot.process != nullptr && members.WorkerServes(slot.worker_id) &&
           members.IncarnationOf(slot.worker_id) == slot.process->member().incarnation();
  });
  return known && driver->core()->Status().under_replicated_blocks() == 0;
}

// Blocks are in the memory of two daemons: without a received-data log the last copy of none may
// go, unless the job driver takes it for none. Nor may the only copy that a block ever had, once
// the job driver was told of it: the job would wait for somebody to accept the loss, and nobody
// does so here.
void Cluster::CrashDaemon(bool node) {
  const size_t index = chaos_->Below(workers_.size());
  Slot& slot = workers_[index];
  if (slot.process == nullptr) return;
  if (!site_->knobs.received_log &&
      (slot.process->HasToldAlone() ||
       (slot.process->HasLastCopies() && !BelievedWhole()))) {
    return;
  }
  site_->world.Count(node ? "disaster: node crashed" : "disaster: worker daemon crashed");
  site_->world.Trace("chaos", slot.worker_id + " crashes");
  slot.process.reset();
  if (node) site_->world.SetHost(slot.host, false);
  // A daemon alone is back on its port at once, or later.
  const int64_t down = node || chaos_->Chance(0.5) ? 1'500'000 : 100'000;
  Later(chaos_->Between(down / 15, down), [this, index] {
    if (away_ == index) return;
    site_->world.SetHost(workers_[index].host, true);
    if (workers_[index].process == nullptr) StartWorker(index);
  });
}

void Cluster::CrashAllNodes() {
  site_->world.Count("disaster: all nodes crashed");
  site_->world.Trace("chaos", "all nodes crash");
  for (size_t i = 0; i < workers_.size(); ++i) {
    Slot& slot = workers_[i];
    slot.process.reset();
    site_->world.SetHost(slot.host, false);
    Later(chaos_->Between(100'000, 1'500'000), [this, i] {
      if (away_ == i) return;
      site_->world.SetHost(workers_[i].host, true);
      if (workers_[i].process == nullptr) StartWorker(i);
    });
  }
  if (chaos_->Chance(0.3)) CrashDriver();
}

// Of the manifest, which nothing but a start reads; so the job driver crashes with it.
void Cluster::DamageCheckpoint() {
  const auto manifests = site_->objects.List("manifest-");
  if (!manifests.ok() || manifests->size() < 2) return;
  const std::string& newest = manifests->back().name;
  const std::string& before = (*manifests)[manifests->size() - 2].name;
  if (site_->damaged.contains(newest) || site_->damaged.contains(before)) return;
  // None is used from before a change of shape.
  const DriverProcess* driver = drivers_.empty() ? nullptr : drivers_.back().get();
  const auto older = CheckpointStore(&site_->objects, site_->codec.get()).ReadManifest(before);
  if (driver == nullptr || driver->core() == nullptr || !older.ok() ||
      older->batch_ms < driver->core()->state().reshaped_ms()) {
    return;
  }
  site_->damaged.insert(newest);
  site_->world.Count("disaster: newest checkpoint damaged");
  site_->world.Trace("chaos", newest + " is damaged");
  site_->objects.FlipBit(newest, chaos_->Below(8 * manifests->back().bytes));
  CrashDriver();
}

// Another number of partitions, and sometimes another interval, from the next start on.
void Cluster::Reshape() {
  Knobs& knobs = site_->knobs;
  knobs.partitions = static_cast<uint32_t>(chaos_->OneOf({1, 2, 3, 5, 8}));
  if (site_->any_interval && chaos_->Chance(0.3)) {
    knobs.batch_interval_ms = chaos_->OneOf({50, 100, 150, 200});
  }
  site_->world.Count("disaster: another shape asked for");
  site_->world.Trace("chaos", std::to_string(knobs.partitions) + " partitions, every " +
                                  std::to_string(knobs.batch_interval_ms) + " ms");
  CrashDriver();
}

void Cluster::PauseNode() {
  Slot& slot = workers_[chaos_->Below(workers_.size())];
  if (slot.process == nullptr) return;
  site_->world.Count("disaster: node paused");
  site_->world.Trace("chaos", slot.worker_id + " is paused");
  const std::vector<std::string> addresses = slot.process->addresses();
  for (const std::string& address : addresses) site_->world.Pause(address);
  Later(site_->knobs.lease_us * chaos_->Between(5, 25) / 10, [this, addresses, host = slot.host] {
    if (StaysAway(host)) return;
    for (const std::string& address : addresses) site_->world.Resume(address);
  });
}

void Cluster::CutHosts(bool both) {
  const std::vector<std::string> hosts = Hosts();
  const std::string a = hosts[chaos_->Below(hosts.size())];
  const std::string b = hosts[chaos_->Below(hosts.size())];
  if (a == b) return;
  site_->world.Count(both ? "disaster: cut in both directions" : "disaster: cut in one direction");
  site_->world.Trace("chaos", a + " no longer reaches " + b);
  site_->world.Cut(a, b);
  if (both) site_->world.Cut(b, a);
  Later(chaos_->Between(50'000, 2'500'000), [this, a, b, both] {
    if (StaysAway(a) || StaysAway(b)) return;
    site_->world.Heal(a, b);
    if (both) site_->world.Heal(b, a);
  });
}

void Cluster::FillLog() {
  site_->world.Count("disaster: log full");
  site_->log_full = true;
  Later(chaos_->Between(100'000, 1'000'000), [this] { site_->log_full = false; });
}

// The node of the job driver loses power in the middle of an append: a torn tail is left.
void Cluster::PowerLoss() {
  if (drivers_.empty() || !site_->world.alive(drivers_.back()->address())) return;
  site_->world.Count("disaster: torn append");
  for (const auto& driver : drivers_) site_->world.Detach(driver->address());
  uint64_t last = 0;
  std::string bytes;
  (void)site_->log.ReadAll(1, [&](uint64_t slot, std::string_view record) {
    last = slot;
    bytes = record;
    return absl::OkStatus();
  });
  if (last != 0) site_->log.Tear(last + 1, bytes, chaos_->Below(bytes.size()));
  site_->log.Crash();
  site_->objects.Crash();
  Later(chaos_->Between(50'000, 500'000), [this] { LaunchDriver(); });
}

void Cluster::Calm() {
  site_->calm = true;
  site_->log_full = false;
  members_down_ = false;
  World& world = site_->world;
  Faults& f = world.faults;
  f.lose = f.duplicate = f.reorder = f.slow = 0;
  world.HealAll();
  for (const auto& driver : drivers_) world.Resume(driver->address());
  for (size_t i = 0; i < workers_.size(); ++i) {
    world.SetHost(workers_[i].host, true);
    if (workers_[i].process == nullptr) StartWorker(i);
    for (const std::string& address : workers_[i].process->addresses()) world.Resume(address);
  }
  if (site_->knobs.one_stays_away) KeepOneAway();
  if (!world.alive(drivers_.back()->address())) Later(600'000, [this] {
    if (!site_->world.alive(drivers_.back()->address())) LaunchDriver();
  });
}

// The rest, and all links between them, are whole.
void Cluster::KeepOneAway() {
  const size_t index = chaos_->Below(workers_.size());
  Slot& slot = workers_[index];
  World& world = site_->world;
  if (!site_->knobs.received_log &&
      (slot.process->HasLastCopies() || slot.process->HasToldAlone())) {
    return;
  }
  away_ = index;
  enum { kDown, kPaused, kCutOff, kDeaf, kUnheard, kWays };
  const uint64_t way = chaos_->Below(kWays);
  const char* const names[kWays] = {"down", "paused", "cut off", "deaf", "unheard"};
  world.Count(std::string("stays: ") + names[way]);
  world.Trace("chaos", slot.worker_id + " stays " + names[way]);
  if (way == kDown) {
    slot.process.reset();
    world.SetHost(slot.host, false);
  } else if (way == kPaused) {
    for (const std::string& address : slot.process->addresses()) world.Pause(address);
  }
  const auto cut = [this, host = slot.host](bool hears, bool is_heard) {
    for (const std::string& other : Hosts()) {
      if (other == host) continue;
      if (!hears) site_->world.Cut(other, host);
      if (!is_heard) site_->world.Cut(host, other);
    }
  };
  if (way == kCutOff) cut(false, false);
  if (way == kUnheard) cut(true, false);
  if (way != kDeaf) return;
  cut(false, true);
  // Nobody's acknowledgements reach it, so its connections break in the end.
  Later(10'000'000, [cut] { cut(false, false); });
}

}  // namespace sluice::sim
