// When a stage with an output whose code has effects outside may run.
#include <gtest/gtest.h>

#include "worker/executor/core_harness.h"

namespace sluice {
namespace {

LineageGraph WithEffects() {
  LineageGraph graph = TestGraph();
  Output output;
  output.kind = OutputKind::kForeachPartition;
  output.label = "ForeachPartition";
  output.parent = 1;
  graph.AddOutput(std::move(output));
  return graph;
}

// The only executor; four partitions, one map task.
class EffectsTest : public testing::Test {
 protected:
  EffectsTest() : graph_(WithEffects()), plan_(graph_, 4), core_(Options(), &plan_) {
    Join(1);
  }
  static ExecutorCoreOptions Options() {
    ExecutorCoreOptions options;
    options.executor = 1;
    options.job_instance = kTestJob;
    options.job_driver = kTestDriver;
    options.batch_interval_ms = 100;
    return options;
  }
  void Join(uint64_t number) {
    generation_ = number;
    core_.Step(now_, TestGrant(number, {1}));
    core_.Step(now_, StateLoaded{{1, number}, ""});
  }
  std::vector<RunTasks> Grant(int64_t batch_ms, int64_t effects_ms, bool rebuild = false) {
    proto::GrantedBatch batch = TestBatch(batch_ms, {0}, 1, batch_ms - 100);
    batch.set_rebuild(rebuild);
    BatchGrantIn event = TestBatchGrant(generation_, {batch});
    event.grant.set_effects_ms(effects_ms);
    return Only<RunTasks>(core_.Step(now_, std::move(event)));
  }
  std::vector<RunTasks> Allow(int64_t effects_ms) {
    BatchGrantIn event = TestBatchGrant(generation_, {});
    event.grant.set_effects_ms(effects_ms);
    return Only<RunTasks>(core_.Step(now_, std::move(event)));
  }
  std::vector<RunTasks> EndMap(const RunTasks& map) {
    return Only<RunTasks>(core_.Step(now_, EndWell(map, 4)));
  }

  LineageGraph graph_;
  StagePlan plan_;
  ExecutorCore core_;
  uint64_t generation_ = 1;
  MonotonicTime now_ = 1'000'000;
};

TEST_F(EffectsTest, APermissionInTheGrantHoldsNothingUp) {
  const auto map = Grant(100, 100);
  ASSERT_EQ(map.size(), 1u);
  const auto reduce = EndMap(map[0]);
  ASSERT_EQ(reduce.size(), 1u);
  EXPECT_EQ(reduce[0].stage, 1u);
}

TEST_F(EffectsTest, MapTasksRunAheadAndTheEffectsWait) {
  const auto map = Grant(100, 0);
  ASSERT_EQ(map.size(), 1u);
  EXPECT_EQ(map[0].stage, 0u);
  EXPECT_TRUE(EndMap(map[0]).empty());
  EXPECT_TRUE(Allow(99).empty());
  const auto reduce = Allow(100);
  ASSERT_EQ(reduce.size(), 1u);
  EXPECT_EQ(reduce[0].stage, 1u);
}

TEST_F(EffectsTest, APermissionIsForItsGenerationOnly) {
  Allow(100);
  Join(2);
  const auto map = Grant(100, 0);
  ASSERT_EQ(map.size(), 1u);
  EXPECT_TRUE(EndMap(map[0]).empty());
  generation_ = 1;  // it comes late
  EXPECT_TRUE(Allow(100).empty());
  generation_ = 2;
  EXPECT_EQ(Allow(100).size(), 1u);
}

TEST_F(EffectsTest, ABatchThatRebuildsStateWaitsForNoPermission) {
  const auto map = Grant(100, 0, /*rebuild=*/true);
  ASSERT_EQ(map.size(), 1u);
  const auto reduce = EndMap(map[0]);
  ASSERT_EQ(reduce.size(), 1u);
  EXPECT_TRUE(reduce[0].rebuild);
}

}  // namespace
}  // namespace sluice
