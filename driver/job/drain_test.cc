// The end of a job that is asked to end: nothing that was acknowledged may be left out.
#include "common/exit_code.h"
#include "driver/job/job_driver_core_fixture.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(DrainTest, TakesWhatWaitsSealsAndEndsWithZero) {
  Cluster cluster(2);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 0; }));
  cluster.PushBlock(9, 1, 1, 7);
  cluster.Feed(StopRequested{});
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  EXPECT_EQ(cluster.end->exit_code, 0);
  EXPECT_EQ(cluster.end->state, "FINISHED");
  EXPECT_EQ(cluster.core().state().records_total(), 7u);
}

// The job ended FINISHED without it.
TEST(DrainTest, TakesABlockThatIsAnnouncedBehindTheLastBatch) {
  Cluster cluster(2);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 0; }));
  cluster.hold_reports = true;
  cluster.Feed(StopRequested{});
  const int64_t planned = cluster.core().state().last_planned_ms();
  ASSERT_TRUE(cluster.RunUntil([&] {
    return cluster.core().state().last_planned_ms() > planned + 100;
  }));
  cluster.PushBlock(9, 1, 1, 7);
  cluster.hold_reports = false;
  for (int64_t ms = 0; ms <= cluster.core().state().last_planned_ms(); ms += 100) {
    cluster.Release(ms);
  }
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  EXPECT_EQ(cluster.end->state, "FINISHED");
  EXPECT_EQ(cluster.core().state().records_total(), 7u);
}

// It ended FINISHED at once, without the records that it had acknowledged.
TEST(DrainTest, BeforeAnythingRanTakesWhatWasAcknowledged) {
  Cluster cluster(1);
  cluster.hold_tasks = true;
  cluster.Announce();
  cluster.PushBlock(9, 1, 1, 7);
  ASSERT_EQ(cluster.verdicts.size(), 1u);
  ASSERT_TRUE(cluster.grants.empty());
  cluster.Feed(StopRequested{});
  EXPECT_FALSE(cluster.RunUntil([&] { return cluster.end.has_value(); }, 20));
  cluster.StartTasks();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  EXPECT_EQ(cluster.end->exit_code, 0);
  EXPECT_EQ(cluster.core().state().records_total(), 7u);
}

TEST(DrainTest, BeforeAnythingRanOrCameEndsWithZero) {
  Cluster cluster(1);
  cluster.hold_tasks = true;
  cluster.Announce();
  cluster.Feed(StopRequested{});
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }, 20));
  EXPECT_EQ(cluster.end->exit_code, 0);
}

// It idled until it was killed by force, and was FAILED.
TEST(DrainTest, OfAJobThatNeverHadSlotsEndsAtOnce) {
  Cluster cluster(0);
  cluster.Announce();
  cluster.Feed(StopRequested{});
  ASSERT_TRUE(cluster.end.has_value());
  EXPECT_EQ(cluster.end->exit_code, 0);
  EXPECT_EQ(cluster.end->state, "FINISHED");
}

// What it has acknowledged in its former life is still to be decided.
TEST(DrainTest, OfARecoveredJobWithoutSlotsFailsAtItsDeadline) {
  RecoveredJob recovered;
  {
    Cluster first(1);
    first.Announce();
    first.PushBlock(9, 1, 1, 7);
    for (const auto& entry : first.log) ASSERT_TRUE(recovered.state.Apply(entry).ok());
  }
  recovered.next_slot = 100;
  Cluster second(0, std::move(recovered));
  second.Announce();
  second.Feed(StopRequested{.cancel = false, .deadline_us = 1'000'000});
  EXPECT_FALSE(second.end.has_value());
  ASSERT_TRUE(second.RunUntil([&] { return second.end.has_value(); }, 200));
  EXPECT_EQ(second.end->exit_code, 5);
}

// The job ended FINISHED, and its daemons dropped what they had not announced yet.
TEST(DrainTest, WaitsForABlockThatIsNotAnnouncedWhenItsReceiverHasEnded) {
  Cluster cluster(2);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 0; }));
  cluster.unannounced = {"w0"};
  cluster.Feed(StopRequested{});
  EXPECT_FALSE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  cluster.unannounced.clear();
  cluster.PushBlock(9, 1, 1, 7);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  EXPECT_EQ(cluster.end->state, "FINISHED");
  EXPECT_EQ(cluster.core().state().records_total(), 7u);
}

// Of a source that cannot send again. It is added without the one before it when nobody has that.
TEST(DrainTest, WaitsForABlockThatWaitsForTheOneBeforeIt) {
  Cluster cluster(2);
  cluster.reliable = false;
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 0; }));
  cluster.hold_sessions = true;  // so none has said what it has
  cluster.PushBlock(9, 2, 8, 14);
  cluster.Feed(StopRequested{});
  EXPECT_FALSE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  cluster.hold_sessions = false;
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  EXPECT_EQ(cluster.end->state, "FINISHED");
  EXPECT_EQ(cluster.core().state().records_total(), 7u);
}

// All that waited was run and published, by a job whose output somebody wanted no more of.
TEST(CancelTest, EndsAtTheLastDecidedBatchAndLeavesWhatWaits) {
  for (const bool drains : {false, true}) {
    JobDriverOptions options;
    options.resumable = drains;
    Cluster cluster(2, {}, options);
    cluster.Announce();
    ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 2; }));
    cluster.hold_reports = cluster.report_rebuilds = true;
    cluster.PushBlock(9, 1, 1, 7);
    if (drains) cluster.Feed(StopRequested{});
    const int64_t planned = cluster.core().state().last_planned_ms();
    ASSERT_TRUE(cluster.RunUntil([&] {
      return cluster.core().state().last_planned_ms() > planned;
    }));
    cluster.PushBlock(9, 2, 8, 14);
    const int64_t last_ms = cluster.core().state().last_planned_ms();
    cluster.Feed(StopRequested{.cancel = true});
    // What fails in a batch that is not decided matters no more.
    const uint64_t generation = cluster.grants.back().generation().number();
    cluster.Feed(ForeachDone{last_ms, 0, generation, "it threw"});
    ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }, 50)) << drains;
    EXPECT_EQ(cluster.end->exit_code, 0);
    const JobState& state = cluster.core().state();
    EXPECT_EQ(state.sealed_ms() == state.last_decided_ms(), options.resumable);
    EXPECT_EQ(cluster.end->state, "CANCELLED");
    EXPECT_EQ(cluster.core().state().last_planned_ms(), last_ms);
    EXPECT_EQ(cluster.core().state().waiting_blocks().size(), 1u);
    EXPECT_EQ(cluster.core().state().records_total(), 0u);
    EXPECT_EQ(cluster.forgotten_by.size(), options.resumable ? 0u : 2u);
  }
}

// Its files had changed, say, since they were read.
TEST(CancelTest, EndsWellWhereWhatIsDecidedCannotRunAgain) {
  Cluster cluster(2);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 2; }));
  cluster.PushBlock(9, 1, 1, 7, "w0", "w1");
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().records_total() == 7; }));
  cluster.poisoned = true;
  cluster.Feed(StopRequested{.cancel = true});
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }, 100));
  EXPECT_EQ(cluster.end->exit_code, 0);
  EXPECT_EQ(cluster.end->state, "CANCELLED");
  EXPECT_NE(cluster.warnings.back().find("one decided: "), std::string::npos);
}

// It stood still until its deadline: nobody told those that wrote the checkpoint.
TEST(CancelTest, WhoWritesACheckpointHearsThatItsBatchIsDecided) {
  Cluster cluster(2);
  cluster.hold_reports = cluster.hold_parts = true;
  cluster.Announce();
  const auto of_checkpoint = [&] {
    for (const auto& [executor, batch] : cluster.granted) {
      if (batch.checkpoint()) return batch.batch_ms();
    }
    return int64_t{0};
  };
  ASSERT_TRUE(cluster.RunUntil([&] { return of_checkpoint() != 0; }));
  const int64_t last_ms = of_checkpoint();
  ASSERT_TRUE(cluster.RunUntil([&] {
    return cluster.core().state().last_planned_ms() > last_ms;
  }));
  cluster.hold_log = true;
  for (int64_t ms = 0; ms <= last_ms; ms += 100) cluster.Release(ms);
  cluster.Feed(StopRequested{.cancel = true});
  cluster.hold_log = false;
  cluster.MakeDurable();
  ASSERT_EQ(cluster.core().state().last_decided_ms(), last_ms);
  for (int times = 0; times < 2; ++times) {  // one may be lost
    cluster.batch_grants.clear();
    ASSERT_TRUE(cluster.RunUntil([&] { return !cluster.batch_grants.empty(); }, 150)) << times;
    EXPECT_EQ(cluster.batch_grants.back().decided_ms(), last_ms);
  }
}

// What was decided was not run again to its end, and the job stood still until its deadline.
TEST(CancelTest, AJobThatFinishesAFormerShapeGoesOnToItsCheckpoint) {
  RecoveredJob recovered;
  {
    Cluster first(2);
    first.hold_parts = true;
    first.Announce();
    ASSERT_TRUE(first.RunUntil([&] { return first.core().state().decided_batches() > 2; }));
    for (const auto& entry : first.log) ASSERT_TRUE(recovered.state.Apply(entry).ok());
  }
  recovered.next_slot = 100;
  JobDriverOptions options;
  options.finish_only = true;
  Cluster second(2, std::move(recovered), options);
  second.hold_reports = second.hold_parts = true;
  second.Announce();
  ASSERT_TRUE(second.RunUntil([&] { return !second.granted.empty(); }));
  ASSERT_EQ(second.core().state().FirstUndecided(), 0);
  ASSERT_TRUE(second.granted.front().second.rebuild());
  second.Feed(StopRequested{.cancel = true});
  second.hold_reports = false;
  const int64_t last_ms = second.core().state().last_decided_ms();
  for (int64_t ms = 0; ms <= last_ms; ms += 100) second.Release(ms);
  EXPECT_TRUE(second.RunUntil([&] { return second.batch_grants.back().decided_ms() == last_ms; }));
}

TEST(CancelTest, EndsWellWithoutACheckpointThatIsNotThereInTime) {
  Cluster cluster(2);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 2; }));
  cluster.hold_reports = true;
  cluster.Feed(StopRequested{.cancel = true, .deadline_us = 1'000'000});
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }, 200));
  EXPECT_EQ(cluster.end->exit_code, 0);
  EXPECT_EQ(cluster.end->state, "CANCELLED");
  EXPECT_NE(cluster.warnings.back().find("without a checkpoint of batch"), std::string::npos);
}

}  // namespace
}  // namespace sluice
