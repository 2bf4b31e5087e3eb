#include "worker/executor/executor_core.h"

#include <gtest/gtest.h>

#include "worker/executor/core_harness.h"

namespace sluice {
namespace {

// Executor 1 of the executors 1 and 2, four partitions, two map tasks.
class ExecutorCoreTest : public testing::Test {
 protected:
  ExecutorCoreTest() : graph_(TestGraph()), plan_(graph_, 4), core_(Options(), &plan_) {}

  static ExecutorCoreOptions Options() {
    ExecutorCoreOptions options;
    options.executor = 1;
    options.job_instance = kTestJob;
    options.job_driver = kTestDriver;
    options.batch_interval_ms = 100;
    options.task_max_failures = 3;
    return options;
  }

  ExecutorCore::Commands Step(ExecutorEvent event) { return core_.Step(now_, std::move(event)); }
  void Join(uint64_t number, int64_t manifest_ms = 0) {
    EXPECT_EQ(Only<DropAllAndLoad>(Step(TestGrant(number, {1, 2}, manifest_ms))).size(), 1u);
    Step(StateLoaded{{1, number}, ""});
  }
  ExecutorCore::Commands Grant(int64_t batch_ms, int64_t decided_ms = 0, bool checkpoint = false) {
    proto::GrantedBatch batch = TestBatch(batch_ms, {0}, 2, batch_ms - 100);
    batch.set_checkpoint(checkpoint);
    return Step(TestBatchGrant(generation_, {batch}, decided_ms));
  }
  ExecutorCore::Commands PeerBundle(int64_t batch_ms) {
    auto bundle = TestBundle(generation_, batch_ms, 2);
    AddTestShare(*bundle, 1, 0);
    AddTestShare(*bundle, 1, 1);
    return Step(BundleIn{bundle});
  }
  ExecutorCore::Commands Decide(int64_t batch_ms, int64_t sealed_ms = 0, int64_t abandoned = 0) {
    BatchGrantIn event = TestBatchGrant(generation_, {}, batch_ms);
    event.grant.set_sealed_ms(sealed_ms);
    event.grant.set_abandoned_checkpoint_ms(abandoned);
    return Step(std::move(event));
  }
  // Runs one batch from grant to report.
  ExecutorCore::Commands Whole(int64_t batch_ms, bool checkpoint = false) {
    const auto map = Only<RunTasks>(Grant(batch_ms, 0, checkpoint));
    EXPECT_EQ(map.size(), 1u);
    Step(EndWell(map.at(0), 4));
    const auto reduce = Only<RunTasks>(PeerBundle(batch_ms));
    EXPECT_EQ(reduce.size(), 1u);
    return Step(EndWell(reduce.at(0), 4));
  }

  LineageGraph graph_;
  StagePlan plan_;
  ExecutorCore core_;
  uint64_t generation_ = 1;
  MonotonicTime now_ = 1'000'000;
};

TEST_F(ExecutorCoreTest, ABatchRunsFromGrantToReport) {
  Join(1);
  const auto map = Only<RunTasks>(Grant(100));
  ASSERT_EQ(map.size(), 1u);
  EXPECT_EQ(map[0].stage, 0u);
  ASSERT_EQ(map[0].tasks.size(), 1u);
  EXPECT_EQ(map[0].tasks[0].input->task(), 0u);

  const auto sent = Only<SendBundle>(Step(EndWell(map[0], 4)));
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, TestAddress(2));
  EXPECT_EQ(sent[0].bundle->shares_size(), 2);
  EXPECT_TRUE(sent[0].bundle->last_chunk());

  const auto reduce = Only<RunTasks>(PeerBundle(100));
  ASSERT_EQ(reduce.size(), 1u);
  EXPECT_EQ(reduce[0].stage, 1u);
  ASSERT_EQ(reduce[0].tasks.size(), 2u);
  ASSERT_EQ(reduce[0].tasks[1].shares.size(), 2u);
  EXPECT_EQ(reduce[0].tasks[1].shares[0]->task(), 0u);  // in task order
  EXPECT_EQ(reduce[0].tasks[1].shares[1]->task(), 1u);

  const auto reports = Reports(Step(EndWell(reduce[0], 4)));
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].edges(0).pushed(), 4u);
  EXPECT_EQ(reports[0].edges(0).folded(), 4u);
}

// It was sent again and again, and the job stood still.
TEST_F(ExecutorCoreTest, AReportThatNoMessageCanCarryIsAFailure) {
  Join(1);
  Step(EndWell(Only<RunTasks>(Grant(100)).at(0), 4));
  TasksEnded ended = EndWell(Only<RunTasks>(PeerBundle(100)).at(0), 4);
  ended.results.at(0).outputs.emplace_back().set_foreach_batch(std::string(65 << 20, 'x'));
  const auto reports = Reports(Step(std::move(ended)));
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].failure().operator_name(), "Print");
  EXPECT_NE(reports[0].failure().cause().find("ForeachPartition"), std::string::npos);
  EXPECT_LT(reports[0].ByteSizeLong(), 10'000u);
}

TEST_F(ExecutorCoreTest, NothingRunsBeforeTheStateIsLoaded) {
  Step(TestGrant(1, {1, 2}));
  EXPECT_TRUE(Only<RunTasks>(Grant(100)).empty());
  EXPECT_EQ(Only<RunTasks>(Step(StateLoaded{{1, 1}, ""})).size(), 1u);
}

// A store that was out of reach for a moment ended the job for good.
TEST_F(ExecutorCoreTest, StateThatCannotBeReadForAWhileIsLoadedAgain) {
  Step(TestGrant(1, {1, 2}));
  const auto told = Only<Send>(Step(StateLoaded{{1, 1}, "the store is away"}));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].message.grant_done().error(), "the store is away");
  EXPECT_TRUE(told[0].message.grant_done().may_pass());
  now_ += 10'000'000;
  const auto again = Only<DropAllAndLoad>(Step(WakeUp{}));
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].grant.members_size(), 2);
  EXPECT_TRUE(Only<DropAllAndLoad>(Step(WakeUp{})).empty());  // it is under way
  const auto done = Only<Send>(Step(StateLoaded{{1, 1}, ""}));
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].message.grant_done().error(), "");
}

TEST_F(ExecutorCoreTest, DamagedStateIsSaidToBe) {
  Step(TestGrant(1, {1, 2}));
  const auto done = Only<Send>(Step(StateLoaded{{1, 1}, "part-1 is damaged", true}));
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].message.grant_done().error(), "part-1 is damaged");
}

TEST_F(ExecutorCoreTest, AnEmptyBundleIsSentToo) {
  Join(1);
  const auto commands = Step(TestBatchGrant(1, {TestBatch(100, {}, 1, 0)}));
  EXPECT_TRUE(Only<RunTasks>(commands).empty());
  const auto sent = Only<SendBundle>(commands);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].bundle->shares_size(), 0);
  EXPECT_TRUE(sent[0].bundle->last_chunk());
}

TEST_F(ExecutorCoreTest, OlderMessagesAreDroppedAndNewerOnesHeld) {
  Join(1);
  generation_ = 2;
  EXPECT_TRUE(Only<RunTasks>(Grant(100)).empty());
  PeerBundle(100);
  EXPECT_EQ(Only<DropAllAndLoad>(Step(TestGrant(2, {1, 2}))).size(), 1u);
  const auto map = Only<RunTasks>(Step(StateLoaded{{1, 2}, ""}));
  ASSERT_EQ(map.size(), 1u);
  // The share that was held counts now; a share of the old generation does not.
  generation_ = 1;
  PeerBundle(200);
  const auto reduce = Only<RunTasks>(Step(EndWell(map[0], 4)));
  ASSERT_EQ(reduce.size(), 1u);
  EXPECT_EQ(reduce[0].batch_ms, 100);
  EXPECT_TRUE(Only<DropAllAndLoad>(Step(TestGrant(1, {1, 2}))).empty());
}

TEST_F(ExecutorCoreTest, AShareOfAnOldGenerationIsNotFolded) {
  Join(2);
  generation_ = 1;
  PeerBundle(100);
  generation_ = 2;
  const auto map = Only<RunTasks>(Grant(100));
  EXPECT_TRUE(Only<RunTasks>(Step(EndWell(map.at(0), 4))).empty());
  EXPECT_EQ(Only<RunTasks>(PeerBundle(100)).size(), 1u);
}

TEST_F(ExecutorCoreTest, AGrantDropsTheStateThatWasThere) {
  Join(1);
  const auto drops = Only<DropAllAndLoad>(Step(TestGrant(2, {1, 2})));
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_FALSE(drops[0].keep_state);
}

TEST_F(ExecutorCoreTest, ResultsOfAnOldGenerationAreDropped) {
  Join(1);
  const auto map = Only<RunTasks>(Grant(100));
  Join(2);
  EXPECT_TRUE(Only<SendBundle>(Step(EndWell(map.at(0), 4))).empty());
}

TEST_F(ExecutorCoreTest, ChunksMayComeTwiceAndInAnyOrder) {
  Join(1);
  Step(EndWell(Only<RunTasks>(Grant(100)).at(0), 4));
  auto first = TestBundle(1, 100, 2);
  first->set_last_chunk(false);
  AddTestShare(*first, 1, 0);
  auto last = TestBundle(1, 100, 2);
  last->set_chunk(1);
  AddTestShare(*last, 1, 1);
  EXPECT_TRUE(Only<RunTasks>(Step(BundleIn{last})).empty());
  EXPECT_TRUE(Only<RunTasks>(Step(BundleIn{last})).empty());
  const auto reduce = Only<RunTasks>(Step(BundleIn{first}));
  ASSERT_EQ(reduce.size(), 1u);
  EXPECT_EQ(reduce[0].tasks[0].shares.size(), 2u);
  EXPECT_EQ(reduce[0].tasks[1].shares.size(), 2u);
  EXPECT_TRUE(Only<RunTasks>(Step(BundleIn{first})).empty());
}

TEST_F(ExecutorCoreTest, ReducesOfOneStageKeepTheOrderOfBatches) {
  Join(1);
  const auto map1 = Only<RunTasks>(Grant(100));
  const auto sent = Step(EndWell(map1.at(0), 4));
  const auto map2 = Only<RunTasks>(Grant(200));
  ASSERT_EQ(map2.size(), 1u);  // beside the reduce of the first
  Step(EndWell(map2[0], 4));
  EXPECT_TRUE(Only<RunTasks>(PeerBundle(200)).empty());
  const auto reduce1 = Only<RunTasks>(PeerBundle(100));
  ASSERT_EQ(reduce1.size(), 1u);
  EXPECT_EQ(reduce1[0].batch_ms, 100);
  const auto reduce2 = Only<RunTasks>(Step(EndWell(reduce1[0], 4)));
  ASSERT_EQ(reduce2.size(), 1u);
  EXPECT_EQ(reduce2[0].batch_ms, 200);
}

TEST_F(ExecutorCoreTest, MapsRunAtMostOneBatchAhead) {
  Join(1);
  Step(EndWell(Only<RunTasks>(Grant(100)).at(0), 4));
  Step(EndWell(Only<RunTasks>(Grant(200)).at(0), 4));
  EXPECT_TRUE(Only<RunTasks>(Grant(300)).empty());
  const auto reduce = Only<RunTasks>(PeerBundle(100));
  const auto next = Only<RunTasks>(Step(EndWell(reduce.at(0), 4)));
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].batch_ms, 300);
}

TEST_F(ExecutorCoreTest, ABatchWaitsForItsPredecessorsGrant) {
  Join(1);
  EXPECT_TRUE(Only<RunTasks>(Grant(200)).empty());
  const auto map = Only<RunTasks>(Grant(100));
  ASSERT_EQ(map.size(), 1u);
  EXPECT_EQ(map[0].batch_ms, 100);
}

TEST_F(ExecutorCoreTest, AFailedTaskIsRunAgainFromTheSameShares) {
  Join(1);
  Step(EndWell(Only<RunTasks>(Grant(100)).at(0), 4));
  const auto reduce = Only<RunTasks>(PeerBundle(100));
  TasksEnded ended = EndWell(reduce.at(0), 4);
  ended.results.pop_back();
  ended.failed.push_back({1, true, {}});
  const auto again = Only<RunTasks>(Step(ended));
  ASSERT_EQ(again.size(), 1u);
  ASSERT_EQ(again[0].tasks.size(), 1u);
  EXPECT_EQ(again[0].tasks[0].task, 1u);
  EXPECT_EQ(again[0].tasks[0].attempt, 1u);
  EXPECT_EQ(again[0].tasks[0].shares.size(), 2u);
  const auto reports = Reports(Step(EndWell(again[0], 4)));
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].edges(0).folded(), 4u);
}

TEST_F(ExecutorCoreTest, ATaskThatFailsTooOftenIsReported) {
  Join(1);
  auto run = Only<RunTasks>(Grant(100)).at(0);
  ExecutorCore::Commands commands;
  for (int attempt = 0; attempt < 3; ++attempt) {
    TasksEnded ended{{1, 1}, 100, 0, {}, {{0, true, {}}}};
    ended.failed[0].failure.set_cause("division by zero");
    commands = Step(ended);
  }
  EXPECT_TRUE(Only<RunTasks>(commands).empty());
  ASSERT_EQ(Reports(commands).size(), 1u);
  EXPECT_EQ(Reports(commands)[0].failure().cause(), "division by zero");
}

TEST_F(ExecutorCoreTest, MissingInputIsNoAttempt) {
  Join(1);
  Grant(100);
  for (int i = 0; i < 10; ++i) {
    const auto commands = Step(TasksEnded{{1, 1}, 100, 0, {}, {{0, false, {}}}});
    EXPECT_TRUE(Only<RunTasks>(commands).empty());
    ASSERT_EQ(Only<WakeAt>(commands).size(), 1u);
    now_ = Only<WakeAt>(commands)[0].time;
    const auto again = Only<RunTasks>(Step(WakeUp{}));
    ASSERT_EQ(again.size(), 1u);
    EXPECT_EQ(again[0].tasks[0].attempt, 0u);
  }
}

// Simulator seed 2785 with fault points: the job driver had found out where the blocks really are
// and granted the batch again; the executor went on asking the worker that had lost them.
TEST_F(ExecutorCoreTest, MissingInputIsReadWhereARepeatedGrantSays) {
  Join(1);
  const auto grant = [&](const std::string& holder) {
    proto::GrantedBatch batch = TestBatch(100, {0}, 2, 0);
    batch.mutable_stages(0)->mutable_tasks(0)->add_pieces()->mutable_block();
    batch.mutable_stages(0)->mutable_tasks(0)->add_holders()->add_addresses(holder);
    return Only<RunTasks>(Step(TestBatchGrant(generation_, {batch}, 0)));
  };
  const auto holder_of = [](const RunTasks& run) {
    return run.tasks.at(0).input->holders(0).addresses(0);
  };
  const auto first = grant("w2");
  ASSERT_EQ(first.size(), 1u);
  EXPECT_TRUE(grant("w3").empty());  // it runs
  EXPECT_EQ(holder_of(first[0]), "w2");
  const auto commands = Step(TasksEnded{{1, 1}, 100, 0, {}, {{0, false, {}}}});
  now_ = Only<WakeAt>(commands).at(0).time;
  const auto again = Only<RunTasks>(Step(WakeUp{}));
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(holder_of(again[0]), "w3");
}

TEST_F(ExecutorCoreTest, LayersAreMergedOnceDecided) {
  Join(1);
  EXPECT_TRUE(Only<MergeLayers>(Whole(100)).empty());
  Whole(200);
  const auto merges = Only<MergeLayers>(Decide(200));
  ASSERT_EQ(merges.size(), 1u);
  EXPECT_EQ(merges[0].batch_ms, 200);
  EXPECT_TRUE(core_.batches().empty());
  EXPECT_TRUE(Only<MergeLayers>(Decide(200)).empty());
}

TEST_F(ExecutorCoreTest, ACheckpointIsTakenBetweenTwoMerges) {
  Join(1);
  Whole(100, true);
  Whole(200);
  const auto commands = Decide(200);
  std::string order;
  for (const auto& command : commands) {
    if (const auto* merge = std::get_if<MergeLayers>(&command)) {
      order += "merge " + std::to_string(merge->batch_ms) + " ";
    } else if (const auto* write = std::get_if<SnapshotAndWrite>(&command)) {
      order += "write " + std::to_string(write->batch_ms) + " ";
    }
  }
  EXPECT_EQ(order, "merge 100 write 100 merge 200 ");
}

TEST_F(ExecutorCoreTest, ChangesAreForgottenOnlyWhenSealed) {
  Join(1);
  Whole(100, true);
  Decide(100);
  const auto written = Step(PartWritten{{1, 1}, 100, "", {}, 10});
  ASSERT_EQ(Only<Send>(written).size(), 1u);
  EXPECT_TRUE(Only<Send>(written)[0].message.has_checkpoint_part());
  EXPECT_TRUE(Only<ForgetSealed>(written).empty());
  EXPECT_TRUE(Only<ForgetSealed>(Decide(100)).empty());
  EXPECT_EQ(Only<ForgetSealed>(Decide(100, 100)).size(), 1u);
}

TEST_F(ExecutorCoreTest, AnAbandonedCheckpointGivesItsChangesBack) {
  Join(1);
  Whole(100, true);
  Decide(100);
  EXPECT_TRUE(Only<RestorePending>(Decide(100, 0, 100)).empty());  // it is being written
  EXPECT_EQ(Only<RestorePending>(Step(PartWritten{{1, 1}, 100, "", {}, 10})).size(), 1u);

  Whole(200, true);
  Decide(200);
  const auto failed = Step(PartWritten{{1, 1}, 200, "disk full", {}, 0});
  EXPECT_EQ(Only<Send>(failed).at(0).message.checkpoint_part().error(), "disk full");
  EXPECT_EQ(Only<RestorePending>(Decide(200, 0, 200)).size(), 1u);
}

TEST_F(ExecutorCoreTest, AFailedCheckpointIsToldUntilTheDriverHasAbandonedIt) {
  Join(1);
  Whole(100, true);
  Decide(100);
  Step(PartWritten{{1, 1}, 100, "disk full", {}, 0});
  now_ += 1'000'000;  // the message was lost
  const auto again = Step(WakeUp{});
  const auto sent = Only<Send>(again);
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent.back().message.checkpoint_part().error(), "disk full");
  Decide(100, 0, 100);
  now_ += 1'000'000;
  for (const Send& send : Only<Send>(Step(WakeUp{}))) {
    EXPECT_FALSE(send.message.has_checkpoint_part());
  }
}

TEST_F(ExecutorCoreTest, NoMergePassesACheckpointThatWaitsForAnother) {
  Join(1);
  Whole(100, true);
  Decide(100);
  Whole(200, true);
  Whole(300);
  EXPECT_TRUE(Only<MergeLayers>(Decide(300)).empty());
  const auto commands = Step(PartWritten{{1, 1}, 100, "", {}, 10});
  EXPECT_EQ(Only<SnapshotAndWrite>(commands).size(), 1u);
  EXPECT_EQ(Only<MergeLayers>(commands).size(), 2u);
}

TEST_F(ExecutorCoreTest, ABrokenLinkIsReportedAndItsBundlesGoOutAgain) {
  Join(1);
  Step(EndWell(Only<RunTasks>(Grant(100)).at(0), 4));
  const auto lost = Step(LinkLost{TestAddress(2), true});
  ASSERT_EQ(Only<Send>(lost).size(), 1u);
  EXPECT_EQ(Only<Send>(lost)[0].message.suspect_peer().peer_executor(), 2u);
  ASSERT_EQ(Only<WakeAt>(lost).size(), 1u);
  now_ = Only<WakeAt>(lost)[0].time;
  EXPECT_EQ(Only<SendBundle>(Step(WakeUp{})).size(), 1u);
}

TEST_F(ExecutorCoreTest, AReportIsRepeatedUntilItsBatchIsDecided) {
  Join(1);
  Whole(100);
  EXPECT_EQ(Reports(Grant(100)).size(), 1u);  // granted again: the report was lost
  now_ += 600'000;
  EXPECT_EQ(Reports(Step(WakeUp{})).size(), 1u);
  Decide(100);
  now_ += 600'000;
  EXPECT_TRUE(Reports(Step(WakeUp{})).empty());
  EXPECT_TRUE(Reports(Grant(100)).empty());
}

TEST_F(ExecutorCoreTest, BundlesOfARebuiltBatchStayUntilThePeerHasGoneOn) {
  Join(1, 100);
  for (int64_t batch_ms = 200; batch_ms <= 400; batch_ms += 100) {
    proto::GrantedBatch batch = TestBatch(batch_ms, {0}, 2, batch_ms - 100);
    batch.set_rebuild(true);
    const auto map = Only<RunTasks>(Step(TestBatchGrant(1, {batch}, 900)));
    ASSERT_EQ(map.size(), 1u);
    Step(EndWell(map[0], 4));
    const auto reduce = Only<RunTasks>(PeerBundle(batch_ms));
    const auto end = Step(EndWell(reduce.at(0), 4));
    EXPECT_EQ(Only<MergeLayers>(end).size(), 1u);
    EXPECT_EQ(core_.batches().size(), batch_ms < 400 ? (batch_ms - 100) / 100 : 2u);
  }
}

TEST_F(ExecutorCoreTest, HeldMessagesAreBounded) {
  ExecutorCoreOptions options = Options();
  options.held_bytes_max = 4000;
  ExecutorCore core(options, &plan_);
  for (int i = 1; i <= 1000; ++i) {
    auto bundle = TestBundle(5, 100 * i, 2);
    AddTestShare(*bundle, 1, 0);
    core.Step(now_, BundleIn{bundle});
  }
  EXPECT_EQ(Only<DropAllAndLoad>(core.Step(now_, TestGrant(5, {1, 2}))).size(), 1u);
}

}  // namespace
}  // namespace sluice
