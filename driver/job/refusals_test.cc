// Executors and job drivers that cannot work, for an output that cannot be written most of all: who
// is refused when, and when the folders of outputs are marked.
#include "checkpoint/output_marker.h"
#include "driver/job/job_driver_core_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

bool RunUntilDecided(Cluster& cluster, uint64_t batches) {
  const uint64_t before = cluster.core().state().decided_batches();
  return cluster.RunUntil(
      [&] { return cluster.core().state().decided_batches() >= before + batches; }, 15'000);
}

size_t StartsOn(const Cluster& cluster, const std::string& worker) {
  return std::count_if(cluster.starts.begin(), cluster.starts.end(), [&](const auto& start) {
    return start.first == worker && start.second.role() == "tasks";
  });
}

void Lose(Cluster& cluster, const std::string& worker) {
  for (const auto& [place, start] : std::vector(cluster.starts)) {
    if (place == worker && start.role() == "tasks") cluster.Exit(start.executor(), false);
  }
}

// A job that has decided a batch, as the next driver finds it.
RecoveredJob OfAnotherEpoch() {
  Cluster before(1);
  before.Announce();
  EXPECT_TRUE(RunUntilDecided(before, 1));
  RecoveredJob recovered;
  recovered.state = before.core().state();
  recovered.next_slot = 100;
  return recovered;
}

TEST(RefusalsTest, WhatTheJobDriverCannotWriteIsRefusedBeforeAnythingBegins) {
  Cluster cluster(2);
  cluster.unmarkable = "an output cannot be written: /out/totals";
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  EXPECT_EQ(cluster.end->exit_code, 3);
  EXPECT_EQ(cluster.end->message, cluster.unmarkable);
  EXPECT_THAT(cluster.starts, SizeIs(0));
}

TEST(RefusalsTest, NothingBeginsBeforeTheJobDriversLook) {
  Cluster cluster(2);
  cluster.hold_marks = true;
  cluster.Announce();
  cluster.RunUntil([&] { return cluster.end.has_value(); }, 1000);
  EXPECT_THAT(cluster.starts, SizeIs(0));
  EXPECT_NE(cluster.status.state(), "RUNNING");
  EXPECT_TRUE(cluster.asked_marks.at(0).buckets);
  cluster.MakeMarks();
  EXPECT_TRUE(RunUntilDecided(cluster, 1));
  EXPECT_THAT(cluster.warnings, SizeIs(0));  // no worker is lost that nobody asked for anything
}

TEST(RefusalsTest, AnExecutorThatCannotWorkRefusesAJobThatHasDecidedNothing) {
  Cluster cluster(2);
  cluster.unfit = {"w1"};
  cluster.Announce();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.end.has_value(); }));
  EXPECT_EQ(cluster.end->exit_code, 3);
  EXPECT_EQ(cluster.end->message, "/out is another one on w1");
  EXPECT_THAT(cluster.granted, SizeIs(0));
}

TEST(RefusalsTest, OneThatComesLaterAndCannotWorkIsGivenUpAndTheOthersGoOn) {
  Cluster cluster(1);
  cluster.Announce();
  ASSERT_TRUE(RunUntilDecided(cluster, 1));
  cluster.unfit = {"w1"};
  cluster.AddWorker("w1");
  cluster.Announce();
  const size_t grants = cluster.grants.size();
  ASSERT_TRUE(RunUntilDecided(cluster, 20));
  EXPECT_FALSE(cluster.end.has_value());
  EXPECT_EQ(cluster.grants.size(), grants);  // its failed starts begin no generation
  // Tried again, less and less often; named once in all that time.
  EXPECT_GT(StartsOn(cluster, "w1"), 3u);
  EXPECT_LT(StartsOn(cluster, "w1"), 10u);
  EXPECT_THAT(cluster.warnings, ElementsAre(HasSubstr("worker w1 cannot work")));
  EXPECT_THAT(cluster.warnings[0], HasSubstr("/out is another one on w1"));
  ASSERT_TRUE(RunUntilDecided(cluster, 100));
  EXPECT_THAT(cluster.warnings, SizeIs(2));  // once a minute
  // And when it can, it is one of them.
  cluster.unfit.clear();
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.grants.back().members_size() == 2; }, 2000));
}

TEST(RefusalsTest, AJobOfAnotherEpochThatNoExecutorCanServeSaysSoAndGoesOnTrying) {
  Cluster cluster(1, OfAnotherEpoch());
  cluster.unfit = {"w0"};
  cluster.Announce();
  cluster.RunUntil([&] { return cluster.end.has_value(); }, 1000);
  ASSERT_FALSE(cluster.end.has_value());
  EXPECT_THAT(cluster.core().Status().failure(), HasSubstr("/out is another one on w0"));
  cluster.unfit.clear();
  EXPECT_TRUE(RunUntilDecided(cluster, 20));
}

TEST(RefusalsTest, AJobOfAnotherEpochWhoseOutputCannotBeWrittenSaysSoAndGoesOn) {
  Cluster cluster(1, OfAnotherEpoch());
  cluster.unmarkable = "an output cannot be written: /out/totals";
  cluster.Announce();
  EXPECT_TRUE(RunUntilDecided(cluster, 1));
  EXPECT_THAT(cluster.warnings, Contains(cluster.unmarkable).Times(1));
  ASSERT_THAT(cluster.inits, SizeIs(1));
  EXPECT_FALSE(cluster.inits[0].conf().contains(ProbedOutputKey(0)));
  EXPECT_FALSE(cluster.asked_marks.at(0).buckets);
}

TEST(RefusalsTest, WhatMayPassRefusesNothingAndNoExecutorIsAskedAboutIt) {
  Cluster cluster(2);
  cluster.unmarkable_now = "the disk is full";
  cluster.Announce();
  EXPECT_TRUE(RunUntilDecided(cluster, 1));
  EXPECT_THAT(cluster.warnings, Contains("the disk is full").Times(1));
  ASSERT_THAT(cluster.inits, SizeIs(2));
  for (const auto& init : cluster.inits) {
    EXPECT_FALSE(init.conf().contains(ProbedOutputKey(0)));
  }
}

TEST(RefusalsTest, FoldersAreMarkedWhileExecutorsOfTasksAreOnTheirWayUp) {
  Cluster cluster(2);
  cluster.hold_tasks = true;
  cluster.Announce();
  cluster.RunUntil([&] { return cluster.starts.size() > 2; }, 100);
  EXPECT_EQ(cluster.marks, 1);
  cluster.StartTasks();
  ASSERT_TRUE(cluster.RunUntil([&] { return !cluster.granted.empty(); }));
  EXPECT_EQ(cluster.marks, 0);
  ASSERT_THAT(cluster.inits, SizeIs(2));
  for (const auto& init : cluster.inits) EXPECT_TRUE(init.conf().contains(ProbedOutputKey(0)));
  // One is lost: the next one there has a marker to look for.
  ASSERT_TRUE(RunUntilDecided(cluster, 1));
  cluster.hold_marks = true;
  Lose(cluster, "w1");
  cluster.RunUntil([&] { return false; }, 50);
  EXPECT_EQ(StartsOn(cluster, "w1"), 2u);
  EXPECT_THAT(cluster.inits, SizeIs(2));  // it waits for it
  cluster.MakeMarks();
  EXPECT_THAT(cluster.inits, SizeIs(3));
  ASSERT_TRUE(RunUntilDecided(cluster, 1));
  EXPECT_EQ(cluster.marks, 0);
  EXPECT_THAT(cluster.asked_marks, SizeIs(2));
}

TEST(RefusalsTest, AJobWithoutFilesMarksNothing) {
  const LineageGraph files = Graph();
  LineageGraph graph;
  for (const Node& node : files.nodes()) graph.AddNode(node);
  Output print;
  print.kind = OutputKind::kPrint;
  print.parent = 1;
  graph.AddOutput(print);
  Cluster cluster(1, {}, {}, std::move(graph));
  cluster.Announce();
  EXPECT_TRUE(cluster.RunUntil([&] { return !cluster.granted.empty(); }));
  EXPECT_THAT(cluster.asked_marks, SizeIs(0));
}

}  // namespace
}  // namespace sluice
