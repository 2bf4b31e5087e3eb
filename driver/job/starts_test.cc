// A job whose executors cannot come up ends, in the job driver's core.
#include "driver/job/job_driver_core_fixture.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(StartsTest, AJobOfWhichNoExecutorStartsFails) {
  Cluster cluster(2);
  cluster.broken = {"w0", "w1"};
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }, 1000));
  EXPECT_EQ(cluster.end->exit_code, 1);
  EXPECT_NE(cluster.end->message.find("no executor of the job starts"), std::string::npos);
  EXPECT_NE(cluster.end->message.find("exit 9"), std::string::npos) << cluster.end->message;
}

TEST(StartsTest, OneWorkerOnWhichTheyStartIsEnough) {
  Cluster cluster(2);
  cluster.broken = {"w0"};
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 3; }, 3000));
  EXPECT_FALSE(cluster.end.has_value());
}

// Each was taken for a member that was lost, and all state was loaded anew.
TEST(StartsTest, FailedStartsOnOneWorkerBeginNoGeneration) {
  Cluster cluster(2);
  cluster.broken = {"w0"};
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return !cluster.grants.empty(); }));
  const size_t starts = cluster.starts.size();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.starts.size() >= starts + 4; }, 5000));
  EXPECT_EQ(cluster.grants.size(), 1u);
}

// Killed from outside, or its binary could not be fetched just now: it is tried for ever.
TEST(StartsTest, WhatIsNotTheExecutorsDoingIsTriedAgain) {
  Cluster cluster(1);
  cluster.broken = {"w0"};
  cluster.by_itself = false;
  cluster.Announce();
  cluster.RunUntil([&] { return cluster.end.has_value(); }, 5000);
  EXPECT_FALSE(cluster.end.has_value());
  EXPECT_GT(cluster.starts.size(), 10u);
}

TEST(StartsTest, AJobThatWasUpGoesOnTrying) {
  Cluster cluster(1);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 0; }));
  cluster.broken = {"w0"};
  cluster.Exit(cluster.grants.back().members(0).executor(), false);
  cluster.RunUntil([&] { return cluster.end.has_value(); }, 5000);
  EXPECT_FALSE(cluster.end.has_value());
  cluster.broken.clear();
  const size_t grants = cluster.grants.size();
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.grants.size() > grants; }, 2000));
}

// It ended for good, a second after it had been started again: 1 is not relaunched.
TEST(StartsTest, AJobThatWasUpGoesOnTryingAfterItsDriverWasRelaunched) {
  for (const bool unfit : {false, true}) {
    RecoveredJob recovered;
    Cluster first(1);
    first.Announce();
    ASSERT_TRUE(first.RunUntil([&] { return first.core().state().decided_batches() > 3; }));
    for (const auto& entry : first.log) ASSERT_TRUE(recovered.state.Apply(entry).ok());
    recovered.next_slot = 100;
    Cluster second(1, std::move(recovered));
    (unfit ? second.unfit : second.broken) = {"w0"};
    second.Announce();
    second.RunUntil([&] { return second.end.has_value(); }, 5000);
    ASSERT_FALSE(second.end.has_value()) << second.end->message;
    EXPECT_NE(second.core().Status().failure().find(unfit ? "another one on w0" : "exit 9"),
              std::string::npos);
    second.unfit.clear();
    second.broken.clear();
    const uint64_t decided = second.core().state().decided_batches();
    EXPECT_TRUE(second.RunUntil(
        [&] { return second.core().state().decided_batches() > decided; }, 5000));
    EXPECT_EQ(second.core().Status().failure(), "");
  }
}

// They were told of no binary, refused to be another one, and the job ended.
TEST(StartsTest, ReceiversOfAJobThatGoesOnWithoutASlotAreToldAllTheyNeed) {
  RecoveredJob recovered;
  Cluster first(1);
  first.Announce();
  for (const auto& entry : first.log) ASSERT_TRUE(recovered.state.Apply(entry).ok());
  recovered.next_slot = 100;
  JobDriverOptions options;
  options.binary_digest = "digest";
  Cluster second(1, std::move(recovered), options);
  second.slots = 0;
  second.Announce();
  ASSERT_TRUE(second.RunUntil([&] { return !second.receiver_inits.empty(); }));
  EXPECT_EQ(second.receiver_inits[0].binary_digest(), "digest");
  EXPECT_NE(second.receiver_inits[0].partitions(), 0u);
  EXPECT_EQ(second.core().Status().state(), "WAITING");
  second.slots = 2;
  second.Announce();
  EXPECT_TRUE(second.RunUntil([&] { return second.core().state().decided_batches() > 0; }));
}

TEST(StartsTest, ABinaryThatANodeCannotRunIsRefusedByNameBeforeTheJobHasRun) {
  Cluster cluster(2);
  cluster.broken = {"w1"};
  cluster.refused = true;
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  EXPECT_EQ(cluster.end->exit_code, 3);
  EXPECT_EQ(cluster.end->message, "libq.so is missing on w1");
}

TEST(StartsTest, ANodeThatComesLaterAndCannotRunItIsDoneWithout) {
  Cluster cluster(2);
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.core().state().decided_batches() > 0; }));
  cluster.broken = {"w1"};
  cluster.refused = true;
  for (const auto& [worker, start] : std::vector(cluster.starts)) {
    if (worker == "w1") cluster.Exit(start.executor(), false);
  }
  const uint64_t decided = cluster.core().state().decided_batches();
  EXPECT_TRUE(cluster.RunUntil(
      [&] { return cluster.core().state().decided_batches() > decided + 2; }, 2000));
  EXPECT_FALSE(cluster.end.has_value());
}

}  // namespace
}  // namespace sluice
