// A recovered job that is to go on in another number of partitions, or under another interval.
#include <gtest/gtest.h>

#include "common/exit_code.h"
#include "driver/job/job_driver_core_fixture.h"

namespace sluice {
namespace {

// A job of 2 partitions, every second, as its log has it: so many batches planned, and so many of
// them decided; the first one has a checkpoint.
RecoveredJob Former(int planned, int decided, int64_t* last_ms) {
  RecoveredJob recovered;
  const auto apply = [&](const proto::Entry& entry) {
    EXPECT_TRUE(recovered.state.Apply(entry).ok());
  };
  proto::Entry begun;
  auto& job = *begun.mutable_job_begun();
  job.set_job_instance(kInstance);
  job.set_zero_ms(kWall - 10'000);
  job.set_batch_interval_ms(1000);
  job.set_partitions(2);
  job.set_key_groups(1024);
  apply(begun);
  proto::Entry seen;
  DescribeProgram(StagePlan(Graph(), 2), seen.mutable_program_seen());
  seen.mutable_program_seen()->set_graph_fingerprint(Graph().Fingerprint());
  apply(seen);
  for (int i = 1; i <= planned; ++i) {
    proto::Entry entry;
    auto& composition = *entry.mutable_planned()->mutable_composition();
    composition.set_batch_ms(kWall - 10'000 + 1000 * i);
    composition.add_sources()->add_tasks();
    apply(entry);
    *last_ms = composition.batch_ms();
    if (i > decided) continue;
    proto::Entry end;
    end.mutable_decided()->set_batch_ms(composition.batch_ms());
    apply(end);
    recovered.state.SetPosition(composition.batch_ms(), {static_cast<uint64_t>(i), 5});
    if (i > 1) continue;
    recovered.manifest_ms = composition.batch_ms();
    recovered.manifest = "manifest-1";
    recovered.checkpoint_program = seen.program_seen();
    recovered.checkpoint_program.mutable_states(0)->set_spreads(true);
    recovered.chains[{"totals", 0}] = {"part-0"};
    recovered.chains[{"totals", 1}] = {"part-1"};
    proto::Entry sealed;
    sealed.mutable_sealed()->set_batch_ms(composition.batch_ms());
    sealed.mutable_sealed()->set_manifest("manifest-1");
    apply(sealed);
  }
  return recovered;
}

JobDriverOptions Shape(uint32_t partitions, int64_t interval_ms) {
  JobDriverOptions options;
  options.partitions = partitions;
  options.batch_interval_ms = interval_ms;
  return options;
}

const proto::Reshaped* ReshapedIn(const std::vector<proto::Entry>& log) {
  for (const auto& entry : log) {
    if (entry.has_reshaped()) return &entry.reshaped();
  }
  return nullptr;
}

struct Case {
  int planned;
  int decided;
  bool may;
};

TEST(ReshapeTest, IsPossibleWhenAllThatWasPlannedIsDecidedAndSealed) {
  const Case cases[] = {{0, 0, true}, {1, 1, true}, {1, 0, false}, {2, 2, false}, {3, 1, false}};
  for (const Case& c : cases) {
    int64_t last_ms = 0;
    EXPECT_EQ(MayReshape(Former(c.planned, c.decided, &last_ms), Graph()), c.may)
        << c.planned << " planned, " << c.decided << " decided";
  }
  LineageGraph stateless;
  int64_t last_ms = 0;
  EXPECT_TRUE(MayReshape(Former(2, 2, &last_ms), stateless));
  EXPECT_FALSE(MayReshape(Former(2, 1, &last_ms), stateless));
}

TEST(ReshapeTest, TheFormerShapeIsFinishedSealedAndLeft) {
  int64_t last_ms = 0;
  RecoveredJob former = Former(4, 2, &last_ms);
  JobDriverOptions options = Shape(2, 1000);
  options.finish_only = true;
  Cluster cluster(2, std::move(former), options);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }, 3000));
  EXPECT_EQ(cluster.end->exit_code, kExitStartAgain);
  EXPECT_NE(cluster.end->message.find("finished in 2 partitions, every 1000 ms"),
            std::string::npos);
  EXPECT_EQ(cluster.core().state().last_planned_ms(), last_ms);
  EXPECT_EQ(cluster.core().state().last_decided_ms(), last_ms);
  EXPECT_EQ(cluster.core().state().sealed_ms(), last_ms);
  EXPECT_EQ(ReshapedIn(cluster.log), nullptr);
  for (const auto& [executor, batch] : cluster.granted) {
    EXPECT_EQ(batch.checkpoint(), batch.batch_ms() == last_ms);
  }
}

// All of it was decided: the last batch is run again to rebuild state, and its checkpoint taken.
TEST(ReshapeTest, WhatIsDecidedAndNotSealedIsRebuiltAndSealed) {
  int64_t last_ms = 0;
  RecoveredJob former = Former(3, 3, &last_ms);
  JobDriverOptions options = Shape(2, 1000);
  options.finish_only = true;
  Cluster cluster(1, std::move(former), options);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }, 3000));
  EXPECT_EQ(cluster.core().state().sealed_ms(), last_ms);
  for (const auto& [executor, batch] : cluster.granted) EXPECT_TRUE(batch.rebuild());
}

TEST(ReshapeTest, TheNewShapeIsLoggedAndStateIsReadFromTheFormerPartitions) {
  int64_t last_ms = 0;
  Cluster cluster(1, Former(1, 1, &last_ms), Shape(7, 700));
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return !cluster.granted.empty(); }));
  const proto::Reshaped* reshaped = ReshapedIn(cluster.log);
  ASSERT_NE(reshaped, nullptr);
  EXPECT_EQ(reshaped->partitions(), 7u);
  EXPECT_EQ(reshaped->batch_interval_ms(), 700);
  EXPECT_EQ(cluster.core().state().reshaped_ms(), last_ms);
  ASSERT_EQ(cluster.grants.front().chains_size(), 2);
  for (const auto& chain : cluster.grants.front().chains()) EXPECT_EQ(chain.partitions(), 2u);
  // On the same zero, behind the last one.
  const int64_t first_ms = cluster.granted.front().second.batch_ms();
  EXPECT_GT(first_ms, last_ms);
  EXPECT_EQ((first_ms - (kWall - 10'000)) % 700, 0);
}

// Chains of the former partitions would be read beside those of the new ones.
TEST(ReshapeTest, TheFirstCheckpointAfterwardsHasNoFormerChains) {
  int64_t last_ms = 0;
  Cluster cluster(1, Former(1, 1, &last_ms), Shape(7, 1000));
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().sealed_ms() > last_ms; }));
  cluster.AddWorker("w1");
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.grants.size() >= 3; }));
  EXPECT_EQ(cluster.grants.back().chains_size(), 0);  // the fixture's executors write none
}

TEST(ReshapeTest, ACheckpointThatIsGivenUpIsTakenAgain) {
  int64_t last_ms = 0;
  RecoveredJob former = Former(2, 2, &last_ms);
  JobDriverOptions options = Shape(2, 1000);
  options.finish_only = true;
  Cluster cluster(1, std::move(former), options);
  cluster.fail_manifests = 1;
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }, 3000));
  EXPECT_EQ(cluster.core().state().sealed_ms(), last_ms);
  EXPECT_GE(cluster.grants.size(), 2u);
  // It was told as given up for good, and no executor wrote it again.
  EXPECT_LT(cluster.batch_grants.back().abandoned_checkpoint_ms(), last_ms);
}

TEST(ReshapeTest, TheLogRefusesAChangeOfShapeBeforeAllIsDecided) {
  int64_t last_ms = 0;
  RecoveredJob former = Former(2, 1, &last_ms);
  proto::Entry entry;
  entry.mutable_reshaped()->set_partitions(3);
  EXPECT_FALSE(former.state.Apply(entry).ok());
}

TEST(TickClockTest, AnotherIntervalGoesOnOnTheSameZeroBehindTheLastBatch) {
  TickClock ticks(1500);
  ticks.Start(0, 14'000, 10'000, 14'000);
  EXPECT_EQ(ticks.NextUs(), 500'000);
  EXPECT_EQ(ticks.Due(400'000), 0);
  EXPECT_EQ(ticks.Due(500'000), 14'500);
  EXPECT_EQ(ticks.MissedBefore(14'500), 0);
  EXPECT_EQ(ticks.Due(3'500'000), 17'500);
  EXPECT_EQ(ticks.MissedBefore(17'500), 14'500);
}

}  // namespace
}  // namespace sluice
