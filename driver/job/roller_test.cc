#include "driver/job/roller.h"

#include "driver/job/job_driver_core_fixture.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

// As Graph(), and its files roll: every executor stages 10 bytes at each batch of a second.
LineageGraph RollingGraph(uint64_t bytes, int64_t after_ms) {
  LineageGraph graph = Graph();
  Output output = graph.outputs()[0];
  output.suffix = "txt";
  output.roll_bytes = bytes;
  output.roll_after_ms = after_ms;
  LineageGraph rolling;
  for (const Node& node : graph.nodes()) rolling.AddNode(node);
  rolling.AddOutput(output);
  return rolling;
}

// What the next driver knows of the job when its former one is gone.
RecoveredJob Recovered(const Cluster& cluster) {
  RecoveredJob job;
  job.epoch = 2;
  uint64_t slot = 1;
  for (const proto::Entry& entry : cluster.log) {
    EXPECT_TRUE(job.state.Apply(entry).ok());
    if (entry.has_decided()) job.state.SetPosition(entry.decided().batch_ms(), {slot, 5});
    ++slot;
  }
  job.next_slot = slot;
  return job;
}

std::vector<int64_t> Decided(const Cluster& cluster) {
  std::vector<int64_t> decided;
  for (const proto::Entry& entry : cluster.log) {
    if (entry.has_decided()) decided.push_back(entry.decided().batch_ms());
  }
  return decided;
}

size_t PlannedIn(const Cluster& cluster) {
  return std::count_if(cluster.log.begin(), cluster.log.end(),
                       [](const proto::Entry& entry) { return entry.has_planned(); });
}

TEST(RollerTest, GathersBatchesUntilThereIsEnoughAndNamesTheFileByThem) {
  Cluster cluster(1, {}, {}, RollingGraph(25, 60'000));
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.rolled.size() == 2; }, 1000));
  const std::vector<int64_t> decided = Decided(cluster);
  ASSERT_GE(decided.size(), 6u);
  EXPECT_EQ(cluster.rolled[0].from_ms, decided[0]);
  EXPECT_EQ(cluster.rolled[0].to_ms, decided[2]);
  EXPECT_EQ(cluster.rolled[0].staged.size(), 3u);
  EXPECT_EQ(cluster.rolled[0].target, "/out/totals-" + std::to_string(decided[0]) + "-" +
                                          std::to_string(decided[2]) + "-000000000000004d.txt");
  EXPECT_EQ(cluster.rolled[1].from_ms, decided[3]);
  EXPECT_TRUE(cluster.published.empty());
}

TEST(RollerTest, AFileIsDueByAgeHoweverLittleThereIs) {
  Cluster cluster(1, {}, {}, RollingGraph(1'000'000, 2'000));
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return !cluster.rolled.empty(); }, 1000));
  EXPECT_EQ(cluster.rolled[0].to_ms - cluster.rolled[0].from_ms, 2'000);
}

TEST(RollerTest, NoFileIsMadeBeforeItIsLoggedWhichBatchesItHas) {
  Cluster cluster(1, {}, {}, RollingGraph(1, 60'000));
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return !cluster.rolled.empty(); }, 1000));
  const size_t made = cluster.rolled.size();
  cluster.hold_log = true;
  // One append after the other, each looked at before it is durable.
  for (int i = 0; i < 300; ++i) {
    cluster.Advance(10'000);
    if (cluster.appends.empty()) continue;
    const std::vector<proto::Entry> append = cluster.appends.front();
    const auto before = cluster.rolled.size();
    const bool range = std::any_of(append.begin(), append.end(),
                                   [](const proto::Entry& entry) { return entry.has_rolling(); });
    if (range) {
      EXPECT_EQ(cluster.rolled.size(), before);
    }
    cluster.MakeDurable();
    if (range) {
      EXPECT_EQ(cluster.rolled.size(), before + 1);
    }
  }
  EXPECT_GT(cluster.rolled.size(), made);
}

TEST(RollerTest, TheNextDriverMakesTheFileThatWasDecidedAndNoOther) {
  Cluster cluster(1, {}, {}, RollingGraph(25, 60'000));
  cluster.Announce();
  cluster.hold_rolls = true;
  ASSERT_TRUE(cluster.RunUntil([&] { return Decided(cluster).size() == 5; }, 1000));
  ASSERT_EQ(cluster.rolled.size(), 1u);

  Cluster next(1, Recovered(cluster), {}, RollingGraph(15, 60'000));  // now others would be chosen
  next.Announce();
  ASSERT_TRUE(next.RunUntil([&] { return next.rolled.size() == 2; }, 1000));
  EXPECT_EQ(next.rolled[0].target, cluster.rolled[0].target);
  EXPECT_EQ(next.rolled[0].staged.size(), 3u);
  EXPECT_GT(next.rolled[1].from_ms, next.rolled[0].to_ms);
  EXPECT_EQ(next.rolled[1].from_ms, Decided(cluster)[3]);
}

TEST(RollerTest, WhatWaitsForAFileOutlivesTheCheckpointsThatCoverIt) {
  JobDriverOptions options;
  options.checkpoint_interval_ms = 2'000;
  Cluster cluster(1, {}, options, RollingGraph(95, 600'000));
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return !cluster.rolled.empty(); }, 2000));
  EXPECT_GT(cluster.core().state().sealed_ms(), cluster.rolled[0].from_ms);
  EXPECT_EQ(cluster.rolled[0].staged.size(), 10u);
}

TEST(RollerTest, ADrainLeavesNothingThatIsNotInAFile) {
  Cluster cluster(1, {}, {}, RollingGraph(1'000'000, 600'000));
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return Decided(cluster).size() == 3; }, 1000));
  EXPECT_TRUE(cluster.rolled.empty());
  cluster.Feed(StopRequested{});
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }, 1000));
  EXPECT_EQ(cluster.end->exit_code, 0);
  ASSERT_EQ(cluster.rolled.size(), 1u);
  EXPECT_EQ(cluster.rolled[0].from_ms, Decided(cluster).front());
  EXPECT_EQ(cluster.rolled[0].to_ms, Decided(cluster).back());
}

TEST(RollerTest, AFileThatCannotBeMadeIsTriedAgainAndHoldsIntake) {
  JobDriverOptions options;
  options.batches_undecided_max = 4;
  Cluster cluster(1, {}, options, RollingGraph(15, 60'000));
  cluster.Announce();
  cluster.publish_error = "the disk is away";
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.rolled.size() >= 8; }, 10'000));
  const size_t planned = PlannedIn(cluster);
  EXPECT_LE(planned, 2u + 4 + 1);
  EXPECT_EQ(cluster.core().Status().output_problem(), "the disk is away");
  cluster.publish_error.clear();
  ASSERT_TRUE(cluster.RunUntil([&] { return PlannedIn(cluster) > planned + 4; }, 10'000));
  EXPECT_EQ(cluster.core().Status().output_problem(), "");
  for (const RollOutput& roll : cluster.rolled) EXPECT_LE(roll.staged.size(), 2u);
}

TEST(RollerTest, ALogThatDoesNotAnswerHoldsIntakeWhereAllOutputRolls) {
  JobDriverOptions options;
  options.batches_undecided_max = 4;
  Cluster cluster(1, {}, options, RollingGraph(1 << 20, 600'000));
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return Decided(cluster).size() == 3; }, 1000));
  cluster.hold_log = true;
  cluster.RunUntil([] { return false; }, 3'000);  // thirty seconds
  const auto& planned = cluster.core().state().planned();
  EXPECT_LE(std::distance(planned.upper_bound(Decided(cluster).back()), planned.end()), 4);
  cluster.hold_log = false;
  cluster.MakeDurable();
  EXPECT_TRUE(cluster.RunUntil([&] { return Decided(cluster).size() == 10; }, 2'000));
}

TEST(PublisherTest, ASinkThatIsDownHoldsIntakeAndThenAllIsPublishedInOrder) {
  JobDriverOptions options;
  options.batches_undecided_max = 4;
  Cluster cluster(1, {}, options);
  cluster.Announce();
  cluster.publish_error = "the disk is away";
  cluster.RunUntil([] { return false; }, 3'000);  // thirty seconds
  const size_t planned = PlannedIn(cluster);
  EXPECT_LE(planned, 4u + 1);
  EXPECT_EQ(cluster.core().Status().unpublished_batches(), Decided(cluster).size());
  cluster.publish_error.clear();
  ASSERT_TRUE(cluster.RunUntil([&] { return PlannedIn(cluster) > planned + 4; }, 10'000));
  const std::vector<int64_t> decided = Decided(cluster);
  ASSERT_GE(decided.size(), cluster.published.size());
  for (size_t i = 0; i < cluster.published.size(); ++i) {
    EXPECT_EQ(cluster.published[i].batch_ms, decided[i]);
  }
}

}  // namespace
}  // namespace sluice
