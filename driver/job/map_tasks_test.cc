// Who runs the map tasks of a batch.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "driver/job/job_driver_core_fixture.h"

namespace sluice {
namespace {

bool RunUntilDecided(Cluster& cluster, uint64_t batches) {
  return cluster.RunUntil(
      [&] { return cluster.core().state().decided_batches() >= batches; }, 2000);
}

// Four map tasks each, on three slots: with the same worker running two of each batch, the batches
// take twice as long as one task.
TEST(MapTasksTest, TheSameWorkerDoesNotHaveTwoTasksOfEveryBatchThatRunsAgain) {
  JobDriverOptions options;
  options.checkpoint_interval_ms = 3'600'000;
  Cluster cluster(4, {}, options);
  cluster.slots = 1;
  cluster.Announce();
  ASSERT_TRUE(RunUntilDecided(cluster, 8));
  const size_t grants = cluster.grants.size();
  cluster.granted.clear();
  cluster.hold_tasks = true;  // the one that is lost does not come back
  cluster.Exit(cluster.grants.back().members(0).executor(), false);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.grants.size() > grants; }, 3000));
  ASSERT_EQ(cluster.grants.back().members_size(), 3);
  ASSERT_TRUE(RunUntilDecided(cluster, 9));
  std::map<std::string, int> most;  // of how many batches an executor has two tasks
  int batches = 0;
  for (const auto& [executor, batch] : cluster.granted) {
    if (!batch.rebuild()) continue;
    ASSERT_EQ(batch.stages(0).total_tasks(), 4u);
    if (batch.stages(0).tasks_size() != 2) continue;
    ++most[executor];
    ++batches;
  }
  EXPECT_GE(batches, 6);
  EXPECT_EQ(most.size(), 3u);
  for (const auto& [executor, times] : most) EXPECT_LE(times, batches / 3 + 1) << executor;
}

}  // namespace
}  // namespace sluice
