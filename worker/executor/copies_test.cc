// Tasks that two executors run: which run counts, and what the other one costs.
#include <gtest/gtest.h>

#include "worker/executor/core_harness.h"

namespace sluice {
namespace {

constexpr uint32_t kPartitions = 4;

ExecutorCoreOptions Options(uint32_t executor) {
  ExecutorCoreOptions options;
  options.executor = executor;
  options.job_instance = kTestJob;
  options.job_driver = kTestDriver;
  options.batch_interval_ms = 100;
  options.task_max_failures = 2;
  options.straggler_copies = true;
  return options;
}

// Executors 0, 1 and 2 with a map task each, in generation 1. Messages between them are the test's
// to deliver.
class CopiesTest : public testing::Test {
 protected:
  struct One {
    One(uint32_t executor, const StagePlan* plan) : core(Options(executor), plan) {}
    ExecutorCore core;
    std::vector<RunTasks> runs;
    std::vector<LeaveTask> left;
    std::vector<std::shared_ptr<const proto::ShareBundle>> bundles;  // to others
    std::vector<std::string> to;
    std::vector<proto::StageLate> late;
    std::vector<proto::CopyDiffers> differs;
    std::vector<proto::BatchReport> reports;
  };

  CopiesTest() : graph_(TestGraph()), plan_(graph_, kPartitions) {
    for (uint32_t e = 0; e < 3; ++e) {
      all_.push_back(std::make_unique<One>(e, &plan_));
      Step(e, TestGrant(1, {0, 1, 2}));
      Step(e, StateLoaded{{1, 1}, ""});
      Step(e, TestBatchGrant(1, {TestBatch(100, {e}, 3, 0)}));
    }
  }

  One& at(uint32_t executor) { return *all_[executor]; }
  void Step(uint32_t executor, ExecutorEvent event) {
    One& one = at(executor);
    const auto commands = one.core.Step(now_, std::move(event));
    for (const RunTasks& run : Only<RunTasks>(commands)) one.runs.push_back(run);
    for (const LeaveTask& leave : Only<LeaveTask>(commands)) one.left.push_back(leave);
    for (const SendBundle& send : Only<SendBundle>(commands)) {
      one.bundles.push_back(send.bundle);
      one.to.push_back(send.to);
    }
    for (const Send& send : Only<Send>(commands)) {
      if (send.message.has_stage_late()) one.late.push_back(send.message.stage_late());
      if (send.message.has_copy_differs()) one.differs.push_back(send.message.copy_differs());
    }
    for (const auto& report : Reports(commands)) one.reports.push_back(report);
  }
  // What `from` has sent, to `to`.
  void Deliver(uint32_t from, uint32_t to) {
    for (size_t i = 0; i < at(from).bundles.size(); ++i) {
      if (at(from).to[i] == TestAddress(to)) Step(to, BundleIn{at(from).bundles[i]});
    }
  }
  void EndMap(uint32_t executor) {
    now_ += 5'000;
    Step(executor, EndWell(at(executor).runs.at(0), kPartitions));
  }
  // Executors 0 and 1 have run theirs and heard of each other; 2 has not.
  void AllButTwo() {
    EndMap(0);
    EndMap(1);
    Deliver(0, 1);
    Deliver(1, 0);
  }
  void Copy(uint32_t helper) {
    BatchGrantIn event = TestBatchGrant(1, {});
    proto::TaskCopy& copy = *event.grant.add_copies();
    copy.set_batch_ms(100);
    copy.set_owner(2);
    copy.mutable_task()->set_task(2);
    Step(helper, std::move(event));
  }
  // As EndWell, with what a map function that is not deterministic gives.
  static TasksEnded EndOtherwise(const RunTasks& run) {
    TasksEnded ended = EndCopy(run);
    for (OutShare& share : ended.results.at(0).shares) share.batch = "c";
    return ended;
  }
  static TasksEnded EndCopy(const RunTasks& run) {
    TasksEnded ended = EndWell(run, kPartitions);
    ended.copy = true;
    ended.results.at(0).records_read = 7;
    return ended;
  }
  static TasksEnded Fail(const RunTasks& run) {
    TasksEnded ended{run.generation, run.batch_ms, run.stage, {}, {}};
    ended.copy = run.copy;
    FailedTask& failed = ended.failed.emplace_back();
    failed.task = run.tasks.at(0).task;
    failed.failure.set_cause("it threw");
    return ended;
  }
  // It was left while it ran.
  static TasksEnded Left(const LeaveTask& leave) {
    TasksEnded ended{leave.generation, leave.batch_ms, leave.stage, {}, {}};
    ended.left.push_back(leave.task);
    ended.copy = leave.copy;
    return ended;
  }
  // From the maps' end on: every partition is folded, and the counts balance.
  void ExpectABatch() {
    uint64_t pushed = 0, folded = 0;
    for (uint32_t e = 0; e < 3; ++e) {
      for (uint32_t from = 0; from < 3; ++from) Deliver(from, e);
    }
    for (uint32_t e = 0; e < 3; ++e) {
      const RunTasks& reduce = at(e).runs.back();
      ASSERT_EQ(reduce.stage, 1u) << "executor " << e;
      for (const TaskWork& work : reduce.tasks) {
        ASSERT_EQ(work.shares.size(), 3u);
        for (uint32_t task = 0; task < 3; ++task) EXPECT_EQ(work.shares[task]->task(), task);
      }
      Step(e, EndWell(reduce, kPartitions));
      ASSERT_EQ(at(e).reports.size(), 1u);
      EXPECT_FALSE(at(e).reports[0].has_failure());
      pushed += at(e).reports[0].edges(0).pushed();
      folded += at(e).reports[0].edges(0).folded();
    }
    EXPECT_EQ(pushed, 3u * kPartitions);
    EXPECT_EQ(folded, pushed);
  }

  LineageGraph graph_;
  StagePlan plan_;
  MonotonicTime now_ = 1'000'000;
  std::vector<std::unique_ptr<One>> all_;
};

TEST_F(CopiesTest, WhoWaitsForMuchLongerThanTheOthersTookSaysSo) {
  EndMap(0);
  now_ += 35'000;
  Step(0, WakeUp{});
  EXPECT_TRUE(at(0).late.empty());  // one of three has ended: that says nothing
  EndMap(1);
  Deliver(1, 0);
  EXPECT_TRUE(at(0).late.empty());  // half as long again as the slower of the two took
  now_ += 30'000;
  Step(0, WakeUp{});
  ASSERT_EQ(at(0).late.size(), 1u);
  EXPECT_EQ(at(0).late[0].batch_ms(), 100);
  ASSERT_EQ(at(0).late[0].missing_size(), 1);
  EXPECT_EQ(at(0).late[0].missing(0), 2u);
  Step(0, WakeUp{});
  EXPECT_EQ(at(0).late.size(), 1u);  // once, until the message must be held lost
  now_ += 500'000;
  Step(0, WakeUp{});
  EXPECT_EQ(at(0).late.size(), 2u);
}

TEST_F(CopiesTest, NobodySaysAWordWhileNothingIsLate) {
  AllButTwo();
  now_ += 1'000;
  Step(0, WakeUp{});
  EndMap(2);
  ExpectABatch();
  for (uint32_t e = 0; e < 3; ++e) EXPECT_TRUE(at(e).late.empty());
}

TEST_F(CopiesTest, WhoHasWorkAsksForNone) {
  AllButTwo();
  Copy(0);
  now_ += 1'000'000;
  Step(0, WakeUp{});
  EXPECT_TRUE(at(0).late.empty());
}

TEST_F(CopiesTest, ACopyThatIsFirstCountsAndItsOwnerLeavesTheTask) {
  AllButTwo();
  Copy(0);
  ASSERT_TRUE(at(0).runs.back().copy);
  Step(0, EndCopy(at(0).runs.back()));
  Deliver(0, 2);
  ASSERT_EQ(at(2).left.size(), 1u);
  Step(2, Left(at(2).left[0]));
  const auto& last = *at(2).bundles.back();
  ASSERT_EQ(last.copied_size(), 1);
  EXPECT_EQ(last.copied(0).task(), 2u);
  EXPECT_EQ(last.copied(0).executor(), 0u);
  ExpectABatch();
  EXPECT_EQ(at(2).reports[0].outrun(), 1u);
  EXPECT_EQ(at(2).reports[0].sources(0).records(), 7u);  // as the copy read them
  EXPECT_EQ(at(0).reports[0].sources(0).records(), 0u);
}

// The task's end was on its way to the core when the copy came.
TEST_F(CopiesTest, ATaskThatHasEndedCountsThoughItWasToBeLeft) {
  AllButTwo();
  Copy(0);
  Step(0, EndCopy(at(0).runs.back()));
  Deliver(0, 2);
  ASSERT_EQ(at(2).left.size(), 1u);
  EndMap(2);
  EXPECT_EQ(at(2).bundles.back()->copied_size(), 0);
  ExpectABatch();
  EXPECT_EQ(at(2).reports[0].outrun(), 0u);
}

TEST_F(CopiesTest, ACopyThatIsSecondIsLeftOrNotFolded) {
  AllButTwo();
  Copy(0);
  Copy(1);
  Step(0, EndCopy(at(0).runs.back()));  // sent, and not yet arrived
  EndMap(2);
  Deliver(2, 1);
  ASSERT_EQ(at(1).left.size(), 1u);
  EXPECT_TRUE(at(1).left[0].copy);
  Step(1, Left(at(1).left[0]));
  ExpectABatch();
  EXPECT_TRUE(at(2).differs.empty());
}

// Partitions would have been folded partly from one run and partly from the other.
TEST_F(CopiesTest, ASecondCopyThatGivesSomethingElseIsNamedAndNotFolded) {
  AllButTwo();
  Copy(0);
  Step(0, EndOtherwise(at(0).runs.back()));
  EndMap(2);
  Deliver(0, 2);
  Deliver(0, 2);
  ASSERT_EQ(at(2).differs.size(), 1u);
  EXPECT_EQ(at(2).differs[0].task(), 2u);
  EXPECT_EQ(at(2).differs[0].executor(), 0u);
  Deliver(2, 0);
  Deliver(1, 0);
  for (const TaskWork& work : at(0).runs.back().tasks) {
    ASSERT_EQ(work.shares.size(), 3u);
    EXPECT_EQ(work.shares[2]->batch(), "b");
  }
  ExpectABatch();
}

TEST_F(CopiesTest, ACopyThatFailsIsNoFailureAndNoAttempt) {
  AllButTwo();
  Copy(0);
  Step(0, Fail(at(0).runs.back()));
  EXPECT_TRUE(at(0).reports.empty());
  Step(2, Fail(at(2).runs.back()));  // one of two
  ASSERT_EQ(at(2).runs.size(), 2u);
  Step(2, EndWell(at(2).runs.back(), kPartitions));
  ExpectABatch();
}

TEST_F(CopiesTest, ATaskThatFailsAfterItsCopyHasEndedIsNotRunAgain) {
  AllButTwo();
  Copy(0);
  Step(2, Fail(at(2).runs.back()));
  Step(0, EndCopy(at(0).runs.back()));
  Deliver(0, 2);
  Step(2, Fail(at(2).runs.back()));  // would be the last attempt
  EXPECT_TRUE(at(2).reports.empty());
  EXPECT_EQ(at(2).runs.size(), 2u);
  ExpectABatch();
  EXPECT_EQ(at(2).reports[0].outrun(), 1u);
}

TEST_F(CopiesTest, ATaskThatWaitsForItsInputIsTakenByItsCopy) {
  AllButTwo();
  Copy(0);
  TasksEnded failed = Fail(at(2).runs.back());
  failed.failed[0].own_fault = false;
  Step(2, std::move(failed));
  Step(0, EndCopy(at(0).runs.back()));
  Deliver(0, 2);
  EXPECT_TRUE(at(2).left.empty());
  EXPECT_EQ(at(2).runs.size(), 1u);
  ExpectABatch();
}

// The grant of the batch came late to the owner: the copy was there before it.
TEST_F(CopiesTest, ATaskOfWhichACopyIsInIsNotBegun) {
  AllButTwo();
  Copy(0);
  Step(0, EndCopy(at(0).runs.back()));
  all_[2] = std::make_unique<One>(2, &plan_);
  Step(2, TestGrant(1, {0, 1, 2}));
  Step(2, StateLoaded{{1, 1}, ""});
  Deliver(0, 2);
  Step(2, TestBatchGrant(1, {TestBatch(100, {2}, 3, 0)}));
  EXPECT_TRUE(at(2).runs.empty());
  ExpectABatch();
}

TEST_F(CopiesTest, AFoldWaitsForTheCopyThatTheOwnerNames) {
  AllButTwo();
  Copy(0);
  Step(0, EndCopy(at(0).runs.back()));
  Deliver(0, 2);
  Step(2, Left(at(2).left.at(0)));
  Deliver(2, 1);
  EXPECT_EQ(at(1).runs.back().stage, 0u);
  Deliver(0, 1);
  EXPECT_EQ(at(1).runs.back().stage, 1u);
}

TEST_F(CopiesTest, ACopyOfAnEndedGenerationIsNothing) {
  AllButTwo();
  Copy(0);
  const RunTasks run = at(0).runs.back();
  Step(0, TestGrant(2, {0, 1, 2}));
  Step(0, StateLoaded{{1, 2}, ""});
  const size_t sent = at(0).bundles.size();
  Step(0, EndCopy(run));
  EXPECT_EQ(at(0).bundles.size(), sent);
}

}  // namespace
}  // namespace sluice
