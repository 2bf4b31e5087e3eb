// Daemons that stand by for each other over one log, in virtual time: pauses between any two of
// their store's operations and within them, clocks that are apart and run at different speeds,
// answers that are lost, a store that is away.
#include "driver/daemon/leader_seat.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "checkpoint/memory_log_store.h"

namespace sluice::daemon {
namespace {

constexpr MonotonicTime kLease = 1'000'000;
constexpr MonotonicTime kTick = 50'000;
constexpr size_t kJobsMax = 60;  // of one world, so that tables stay small

proto::JobTable TableOf(const std::set<std::string>& jobs) {
  proto::JobTable table;
  for (const std::string& job : jobs) table.add_jobs()->mutable_spec()->set_name(job);
  return table;
}

std::set<std::string> JobsOf(const proto::JobTable& table) {
  std::set<std::string> jobs;
  for (const auto& job : table.jobs()) jobs.insert(job.spec().name());
  return jobs;
}

class World;

// What one daemon sees of the shared log: before and behind each operation the world may go on.
class Door : public LogStore {
 public:
  Door(World* world, int daemon) : world_(world), daemon_(daemon) {}
  absl::Status ReadAll(uint64_t from, const Visitor& visitor) override;
  absl::Status PutIfAbsent(uint64_t slot, std::string_view bytes) override;
  absl::StatusOr<std::string> Get(uint64_t slot) override;
  absl::Status DeleteUpTo(uint64_t slot) override;
  absl::Status CutTail(uint64_t slot, std::string_view bytes) override;
  absl::StatusOr<std::optional<uint64_t>> DurableLength() override;
  std::string Where() const override { return "the log"; }

 private:
  template <class T>
  T Pass(const std::function<T()>& operation);
  World* const world_;
  const int daemon_;
};

struct Odds {
  double pause = 0;      // per operation of the store, before and behind it
  double outage = 0;     // per operation: it fails, or its answer is lost
  double drift = 0;      // how much faster or slower than time a clock may be
};

class World {
 public:
  World(uint64_t seed, const Odds& odds, int daemons) : odds_(odds), random_(seed) {
    for (int i = 0; i < daemons; ++i) {
      Daemon& daemon = daemons_.emplace_back();
      daemon.offset = Draw(0, 1'000 * kLease);
      daemon.speed = 1 + odds.drift * (2 * Unit() - 1);
      daemon.door = std::make_unique<Door>(this, i);
      LeaderSeat::Options options;
      options.address = "d" + std::to_string(i) + ":1";
      options.node = "node" + std::to_string(i);
      options.lease_us = kLease;
      options.now = [this, i] { return ClockOf(i); };
      options.random = [this] { return random_(); };
      daemon.seat = std::make_unique<LeaderSeat>(daemon.door.get(), std::move(options));
    }
  }

  // Every daemon gets its turns until `end`, in an order that pauses change.
  void Run(MonotonicTime end) {
    while (now_ < end && !testing::Test::HasFailure()) {
      now_ += kTick;
      for (size_t i = 0; i < daemons_.size(); ++i) Act(static_cast<int>(i));
    }
  }

  // Faults are over: one of them leads, and the table holds all that was acknowledged.
  void Heal() {
    odds_ = {};
    for (Daemon& daemon : daemons_) daemon.wakes = 0;
    Run(now_ + 5 * kLease);
    int leaders = 0;
    for (const Daemon& daemon : daemons_) {
      if (!daemon.seat->leads()) continue;
      ++leaders;
      CheckKnows(daemon);
    }
    EXPECT_EQ(leaders, 1);
  }

  int takeovers() const { return takeovers_; }
  int stood_by() const { return stood_by_; }
  size_t saved() const { return acknowledged_.size(); }

 private:
  friend class Door;
  struct Daemon {
    MonotonicTime offset = 0;
    double speed = 1;
    MonotonicTime wakes = 0;   // paused until then
    bool busy = false;         // within an operation of its store
    std::unique_ptr<Door> door;
    std::unique_ptr<LeaderSeat> seat;
    std::set<std::string> jobs;  // as its core has them, while it leads
  };

  double Unit() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  MonotonicTime Draw(MonotonicTime least, MonotonicTime most) {
    return std::uniform_int_distribution<MonotonicTime>(least, most)(random_);
  }
  MonotonicTime ClockOf(int daemon) const {
    const Daemon& d = daemons_[daemon];
    return d.offset + static_cast<MonotonicTime>(static_cast<double>(now_) * d.speed);
  }

  void Act(int i) {
    Daemon& daemon = daemons_[i];
    if (daemon.busy || now_ < daemon.wakes) return;
    daemon.busy = true;
    LeaderSeat::News news = daemon.seat->Turn();
    if (news.follow) ++stood_by_;
    EXPECT_TRUE(news.failed.ok()) << news.failed;
    if (news.lead) {
      ++takeovers_;
      daemon.jobs = JobsOf(news.table);
      if (daemon.seat->Sure()) CheckKnows(daemon);  // else another may lead by now
    }
    if (daemon.seat->leads() && daemon.seat->Sure()) {
      CheckAlone(i);
      if (acknowledged_.size() < kJobsMax && Unit() < 0.2) Submit(i);
    }
    daemon.busy = false;
  }

  void Submit(int i) {
    Daemon& daemon = daemons_[i];
    const std::string job = "job" + std::to_string(next_job_++);
    daemon.jobs.insert(job);
    if (!daemon.seat->Save(TableOf(daemon.jobs)).ok()) return;
    acknowledged_.insert(job);
  }

  void CheckKnows(const Daemon& leader) {
    for (const std::string& job : acknowledged_) {
      EXPECT_TRUE(leader.jobs.contains(job)) << job << " was acknowledged and is gone";
    }
  }

  // Where clocks run at about one speed nobody is sure while another is. A daemon that is busy is
  // paused: what it believes it does not act on before it looks again.
  void CheckAlone(int i) {
    for (size_t other = 0; other < daemons_.size(); ++other) {
      const Daemon& d = daemons_[other];
      if (static_cast<int>(other) == i || d.busy) continue;
      EXPECT_FALSE(d.seat->Sure()) << "two that are sure to lead";
    }
  }

  // Time passes for a daemon that is in the midst of something.
  void MayPause(int i) {
    if (Unit() >= odds_.pause || depth_ > 3) return;
    ++depth_;
    daemons_[i].wakes = now_ + Draw(kTick, Unit() < 0.1 ? 300 * kLease : 3 * kLease);
    Run(daemons_[i].wakes);
    --depth_;
  }

  Odds odds_;
  std::mt19937_64 random_;
  MonotonicTime now_ = 0;
  int depth_ = 0;
  MemoryLogStore log_;
  std::vector<Daemon> daemons_;
  std::set<std::string> acknowledged_;
  int next_job_ = 0;
  int takeovers_ = 0;
  int stood_by_ = 0;
};

template <class T>
T Door::Pass(const std::function<T()>& operation) {
  world_->MayPause(daemon_);
  const double fate = world_->Unit();
  if (fate < world_->odds_.outage / 2) return absl::UnavailableError("away");
  T result = operation();
  world_->MayPause(daemon_);
  if (fate < world_->odds_.outage) return absl::UnavailableError("the answer is lost");
  return result;
}

absl::Status Door::ReadAll(uint64_t from, const Visitor& visitor) {
  return Pass<absl::Status>([&] { return world_->log_.ReadAll(from, visitor); });
}
absl::Status Door::PutIfAbsent(uint64_t slot, std::string_view bytes) {
  return Pass<absl::Status>([&] { return world_->log_.PutIfAbsent(slot, bytes); });
}
absl::StatusOr<std::string> Door::Get(uint64_t slot) {
  return Pass<absl::StatusOr<std::string>>([&] { return world_->log_.Get(slot); });
}
absl::Status Door::DeleteUpTo(uint64_t slot) {
  return Pass<absl::Status>([&] { return world_->log_.DeleteUpTo(slot); });
}
absl::Status Door::CutTail(uint64_t slot, std::string_view bytes) {
  return Pass<absl::Status>([&] { return world_->log_.CutTail(slot, bytes); });
}
absl::StatusOr<std::optional<uint64_t>> Door::DurableLength() {
  return Pass<absl::StatusOr<std::optional<uint64_t>>>(
      [&] { return world_->log_.DurableLength(); });
}

TEST(LeaderSeatTest, WhatIsAcknowledgedIsKnownToEveryLaterLeader) {
  int takeovers = 0, stood_by = 0;
  size_t saved = 0;
  for (uint64_t seed = 1; seed <= 400 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed, {.pause = 0.02, .outage = seed % 3 == 0 ? 0.1 : 0.01, .drift = 0.02},
                seed % 2 == 0 ? 2 : 3);
    world.Run(30 * kLease);
    world.Heal();
    takeovers += world.takeovers();
    stood_by += world.stood_by();
    saved += world.saved();
  }
  EXPECT_GT(takeovers, 800);
  EXPECT_GT(stood_by, 200);
  EXPECT_GT(saved, 1'000u);
}

TEST(LeaderSeatTest, WithoutAFaultTheFirstLeadsForEver) {
  World world(1, {.drift = 0.05}, 3);
  world.Run(300 * kLease);
  EXPECT_EQ(world.takeovers(), 1);
  EXPECT_EQ(world.stood_by(), 0);
}

}  // namespace
}  // namespace sluice::daemon
