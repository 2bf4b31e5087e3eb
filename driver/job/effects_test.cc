// When tasks may have effects outside: what the job driver waits for, and what saying so costs.
#include "driver/job/job_driver_core_fixture.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

LineageGraph WithEffects() {
  LineageGraph graph;
  Node source;
  source.kind = NodeKind::kSource;
  source.label = "PushStream";
  source.source.kind = SourceKind::kPush;
  source.source.stream = "orders";
  graph.AddNode(source);
  Node sum;
  sum.kind = NodeKind::kShuffle;
  sum.label = "UpdateStateByKey";
  sum.state_name = "totals";
  sum.inputs.push_back({0, "Map", nullptr, nullptr});
  graph.AddNode(sum);
  Output output;
  output.kind = OutputKind::kForeachPartition;
  output.label = "ForeachPartition";
  output.parent = 1;
  graph.AddOutput(output);
  return graph;
}

class EffectsTest : public testing::Test {
 protected:
  explicit EffectsTest(JobDriverOptions options = {}) : cluster_(2, {}, options, WithEffects()) {
    cluster_.Announce();
    EXPECT_TRUE(cluster_.RunUntil([&] { return decided_ms() != 0; }));
    cluster_.batch_grants.clear();
  }
  int64_t decided_ms() { return cluster_.core().state().last_decided_ms(); }
  int64_t planned_ms() { return cluster_.core().state().last_planned_ms(); }
  // Runs until so many batches are planned and not decided.
  void PlanMore(int64_t batches) {
    const int64_t until = decided_ms() + 1000 * batches;
    ASSERT_TRUE(cluster_.RunUntil([&] { return planned_ms() >= until; }));
  }
  bool Granted(int64_t batch_ms) {
    for (const auto& grant : cluster_.batch_grants) {
      for (const auto& batch : grant.batches()) {
        if (batch.batch_ms() == batch_ms) return true;
      }
    }
    return false;
  }
  // Batches up to which executors were told that effects are allowed.
  int64_t Allowed() {
    int64_t allowed = 0;
    for (const auto& grant : cluster_.batch_grants) {
      allowed = std::max<int64_t>(allowed, grant.effects_ms());
    }
    return allowed;
  }

  Cluster cluster_;
};

TEST_F(EffectsTest, ABatchAloneIsGrantedWhenItsPlanIsDurableAndCarriesThePermission) {
  cluster_.hold_log = true;
  cluster_.hold_reports = true;
  PlanMore(1);
  const int64_t batch_ms = planned_ms();
  EXPECT_FALSE(Granted(batch_ms));
  cluster_.MakeDurable();
  ASSERT_EQ(cluster_.batch_grants.size(), 1u);
  EXPECT_EQ(cluster_.batch_grants[0].batches(0).batch_ms(), batch_ms);
  EXPECT_EQ(cluster_.batch_grants[0].effects_ms(), batch_ms);
}

TEST_F(EffectsTest, WhereBatchesOverlapThePermissionFollowsTheDecision) {
  cluster_.hold_reports = true;
  PlanMore(2);
  const int64_t second_ms = planned_ms();
  const int64_t first_ms = second_ms - 1000;
  EXPECT_TRUE(Granted(second_ms));
  EXPECT_EQ(Allowed(), first_ms);
  cluster_.hold_log = true;
  cluster_.Release(first_ms);
  EXPECT_EQ(decided_ms(), first_ms);
  EXPECT_EQ(Allowed(), first_ms) << "the decision is not durable";
  const size_t before = cluster_.batch_grants.size();
  cluster_.MakeDurable();
  EXPECT_EQ(Allowed(), second_ms);
  EXPECT_EQ(cluster_.batch_grants.size(), before + 1);
  EXPECT_EQ(cluster_.batch_grants.back().batches_size(), 0);
}

// The batch is not decided in this run, and its effects would come again with the next.
TEST_F(EffectsTest, ACancelledJobPermitsNoMore) {
  cluster_.hold_reports = true;
  PlanMore(2);
  const int64_t first_ms = planned_ms() - 1000;
  cluster_.hold_log = true;
  cluster_.Release(first_ms);
  cluster_.Feed(StopRequested{.cancel = true});
  cluster_.MakeDurable();
  EXPECT_EQ(decided_ms(), first_ms);
  EXPECT_EQ(Allowed(), first_ms);
}

TEST_F(EffectsTest, ABatchThatComesAloneCostsOneMessage) {
  const size_t before = cluster_.batch_grants.size();
  const int64_t decided = decided_ms();
  ASSERT_TRUE(cluster_.RunUntil([&] { return decided_ms() >= decided + 3000; }));
  size_t grants = 0;
  for (size_t i = before; i < cluster_.batch_grants.size(); ++i) {
    // What says that a checkpoint is sealed comes on its own.
    grants += cluster_.batch_grants[i].batches_size() > 0 ||
              cluster_.batch_grants[i].sealed_ms() == cluster_.batch_grants[i - 1].sealed_ms();
  }
  EXPECT_EQ(grants, 3u);
}

class SkippedEffectsTest : public EffectsTest {
 protected:
  SkippedEffectsTest() : EffectsTest(Skipping()) {}
  static JobDriverOptions Skipping() {
    JobDriverOptions options;
    options.skip_failed_batches = true;
    return options;
  }
};

// Otherwise a driver that died meanwhile would run the batch once more, whole, under an identity
// that a sink has seen already, empty.
TEST_F(SkippedEffectsTest, ASkippedBatchHasNoEffectsBeforeThatIsDurable) {
  cluster_.fail_reports = 1;
  const int64_t batch_ms = decided_ms() + 1000;
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.core().state().failed_batches() > 0; }));
  cluster_.batch_grants.clear();
  for (int i = 0; i < 20; ++i) cluster_.Advance(10'000);
  EXPECT_FALSE(Granted(batch_ms));
  cluster_.MakeDurable();
  for (int i = 0; i < 20; ++i) cluster_.Advance(10'000);
  cluster_.MakeDurable();
  EXPECT_TRUE(Granted(batch_ms));
  EXPECT_GE(Allowed(), batch_ms);
}

}  // namespace
}  // namespace sluice
