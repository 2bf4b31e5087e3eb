// Three cores, whose messages come late, twice and in any order, whose links lose what is under
// way and whose tasks fail: every batch must be folded once, everywhere, in order.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "worker/executor/core_harness.h"

namespace sluice {
namespace {

constexpr uint32_t kMembers = 3;
constexpr uint32_t kPartitions = 7;
constexpr uint32_t kMapTasks = 5;

class Cluster {
 public:
  explicit Cluster(uint32_t seed) : random_(seed), graph_(TestGraph()), plan_(graph_, kPartitions) {
    for (uint32_t e = 0; e < kMembers; ++e) {
      ExecutorCoreOptions options;
      options.executor = e;
      options.job_instance = kTestJob;
      options.job_driver = kTestDriver;
      options.batch_interval_ms = 100;
      options.task_max_failures = 1000;
      options.chunk_bytes = 2;
      cores_.push_back(std::make_unique<ExecutorCore>(options, &plan_));
      wake_.push_back(0);
    }
    NewGeneration();
  }

  // Until `batches` batches are decided.
  void Run(int batches) {
    for (int step = 0; decided_ms_ < batches * 100; ++step) {
      ASSERT_LT(step, 200'000) << "stuck at " << decided_ms_;
      now_ += 100;
      if (random_() % 2000 == 0) NewGeneration();
      if (random_() % 50 == 0) GrantBatches();
      if (random_() % 100 == 0) LoseLink();
      if (!pending_.empty() && random_() % 3 != 0) Deliver();
      for (uint32_t e = 0; e < kMembers; ++e) {
        if (wake_[e] != 0 && wake_[e] <= now_) Wake(e);
      }
    }
  }

 private:
  struct Pending {
    uint32_t executor;
    ExecutorEvent event;
    bool message;  // may be lost, doubled
  };

  void NewGeneration() {
    ++generation_;
    base_ms_ = decided_ms_;
    reports_.clear();
    ran_.clear();
    for (uint32_t e = 0; e < kMembers; ++e) {
      pending_.push_back({e, TestGrant(generation_, {0, 1, 2}, base_ms_), true});
    }
  }

  // Grants the next three batches to everybody, again and again.
  void GrantBatches() {
    const uint32_t e = random_() % kMembers;
    std::vector<proto::GrantedBatch> batches;
    const Ownership owners(std::vector<uint32_t>(kMembers, 1));
    for (int64_t t = decided_ms_ + 100; t <= decided_ms_ + 300; t += 100) {
      std::vector<uint32_t> own;
      for (uint32_t i = 0; i < kMapTasks; ++i) {
        if (owners.OwnerOf(i, kMapTasks) == e) own.push_back(i);
      }
      batches.push_back(TestBatch(t, own, kMapTasks, t - 100));
    }
    if (random_() % 2 == 0) batches.erase(batches.begin());
    pending_.push_back({e, TestBatchGrant(generation_, std::move(batches), decided_ms_), true});
    if (random_() % 4 == 0) {
      pending_.push_back({e, TestGrant(generation_, {0, 1, 2}, base_ms_), true});
    }
  }

  void LoseLink() {
    const uint32_t from = random_() % kMembers;
    const uint32_t to = random_() % kMembers;
    if (from == to) return;
    std::erase_if(pending_, [&](const Pending& p) {
      const BundleIn* in = std::get_if<BundleIn>(&p.event);
      return in != nullptr && p.executor == to && in->bundle->from_executor() == from;
    });
    Step(from, LinkLost{TestAddress(to), random_() % 2 == 0});
  }

  void Deliver() {
    const size_t at = random_() % pending_.size();
    Pending one = std::move(pending_[at]);
    if (one.message && random_() % 4 == 0) {
      pending_[at] = one;  // it will come again
    } else {
      pending_.erase(pending_.begin() + at);
    }
    Step(one.executor, std::move(one.event));
  }

  void Wake(uint32_t e) {
    wake_[e] = 0;
    Step(e, WakeUp{});
  }

  void Step(uint32_t e, ExecutorEvent event) {
    for (ExecutorCommand& command : cores_[e]->Step(now_, std::move(event))) {
      if (auto* wake = std::get_if<WakeAt>(&command)) wake_[e] = wake->time;
      if (auto* load = std::get_if<DropAllAndLoad>(&command)) {
        pending_.push_back({e, StateLoaded{load->generation, ""}, false});
      }
      if (auto* run = std::get_if<RunTasks>(&command)) RunHere(e, *run);
      if (auto* send = std::get_if<SendBundle>(&command)) {
        for (uint32_t to = 0; to < kMembers; ++to) {
          if (send->to == TestAddress(to)) pending_.push_back({to, BundleIn{send->bundle}, true});
        }
      }
      if (auto* send = std::get_if<Send>(&command)) Report(*send);
    }
  }

  void RunHere(uint32_t e, const RunTasks& run) {
    TasksEnded ended = EndWell(run, kPartitions);
    if (run.stage == 1) CheckReduce(run);
    if (random_() % 4 == 0) {
      ended.failed.push_back({ended.results.back().task, true, {}});
      ended.results.pop_back();
    }
    if (run.stage == 1) {
      for (const TaskResult& result : ended.results) {
        if (run.generation.number == generation_) ran_[result.task].push_back(run.batch_ms);
      }
    }
    pending_.push_back({e, std::move(ended), false});
  }

  void CheckReduce(const RunTasks& run) {
    for (const TaskWork& work : run.tasks) {
      ASSERT_EQ(work.shares.size(), kMapTasks) << "batch " << run.batch_ms;
      for (uint32_t i = 0; i < kMapTasks; ++i) EXPECT_EQ(work.shares[i]->task(), i);
      const auto& ran = ran_[work.task];
      if (run.generation.number != generation_) continue;
      EXPECT_EQ(ran.empty() ? base_ms_ : ran.back(), run.batch_ms - 100) << "out of order";
    }
  }

  void Report(const Send& send) {
    if (!send.message.has_batch_report()) return;
    const auto& report = send.message.batch_report();
    if (report.generation().number() != generation_ || report.batch_ms() <= decided_ms_) return;
    reports_[report.batch_ms()][report.executor()] = report;
    while (reports_[decided_ms_ + 100].size() == kMembers) Decide(decided_ms_ + 100);
  }

  void Decide(int64_t batch_ms) {
    uint64_t pushed = 0, folded = 0;
    for (const auto& [e, report] : reports_[batch_ms]) {
      for (const auto& edge : report.edges()) {
        pushed += edge.pushed();
        folded += edge.folded();
      }
    }
    EXPECT_EQ(pushed, kMapTasks * kPartitions);
    EXPECT_EQ(folded, pushed);
    decided_ms_ = batch_ms;
  }

  std::mt19937 random_;
  LineageGraph graph_;
  StagePlan plan_;
  std::vector<std::unique_ptr<ExecutorCore>> cores_;
  std::vector<MonotonicTime> wake_;
  std::vector<Pending> pending_;
  MonotonicTime now_ = 1'000'000;
  uint64_t generation_ = 0;
  int64_t base_ms_ = 0;
  int64_t decided_ms_ = 0;
  std::map<int64_t, std::map<uint32_t, proto::BatchReport>> reports_;
  std::map<uint32_t, std::vector<int64_t>> ran_;  // by partition, in this generation
};

TEST(ExecutorCoreCluster, FoldsEveryBatchOnceAndInOrder) {
  for (uint32_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    Cluster cluster(seed);
    cluster.Run(30);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace sluice
