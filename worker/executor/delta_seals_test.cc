// Deltas in the executor's core: who hears of one, how often, and how many may wait.
#include <gtest/gtest.h>

#include "common/delta_stream.h"
#include "worker/executor/core_harness.h"
#include "worker/executor/delta_seal.h"

namespace sluice {
namespace {

// Executor 1 alone, four partitions, one map task; every batch changes the state of partition 2.
class DeltaSealsTest : public testing::Test {
 protected:
  DeltaSealsTest() : graph_(TestGraph()), plan_(graph_, 4), core_(Options(), &plan_) { Join(1); }

  static ExecutorCoreOptions Options() {
    ExecutorCoreOptions options;
    options.executor = 1;
    options.job_instance = kTestJob;
    options.job_driver = kTestDriver;
    options.batch_interval_ms = 100;
    options.deltas = 9;
    options.delta_bytes_max = 100;
    options.unsealed_bytes_max = 250;
    return options;
  }
  ExecutorCore::Commands Step(ExecutorEvent event) { return core_.Step(now_, std::move(event)); }
  void Join(uint64_t number) {
    generation_ = number;
    Step(TestGrant(number, {1}));
    Step(StateLoaded{{1, number}, ""});
  }
  // From grant to report.
  ExecutorCore::Commands Run(int64_t batch_ms, const std::string& delta) {
    const auto map = Only<RunTasks>(
        Step(TestBatchGrant(generation_, {TestBatch(batch_ms, {0}, 1, batch_ms - 100)})));
    const auto reduce = Only<RunTasks>(Step(EndWell(map.at(0), 4)));
    TasksEnded ended = EndWell(reduce.at(0), 4);
    ended.results.at(2).delta = delta;
    return Step(std::move(ended));
  }
  std::vector<uint64_t> Sealing(const ExecutorCore::Commands& commands) {
    std::vector<uint64_t> numbers;
    for (const SealDelta& seal : Only<SealDelta>(commands)) numbers.push_back(seal.name.number());
    return numbers;
  }
  ExecutorCore::Commands Later() {
    now_ += 600'000;
    return Step(WakeUp{});
  }
  using Numbers = std::vector<uint64_t>;

  LineageGraph graph_;
  StagePlan plan_;
  ExecutorCore core_;
  uint64_t generation_ = 1;
  MonotonicTime now_ = 1'000'000;
};

TEST_F(DeltaSealsTest, TheReportOfABatchNamesTheBlockThatHasItsChanges) {
  const auto commands = Run(100, "changes");
  const auto seals = Only<SealDelta>(commands);
  ASSERT_EQ(seals.size(), 1u);
  EXPECT_EQ(*seals[0].pieces, std::vector<std::string>{"changes"});
  const auto report = Reports(commands).at(0);
  EXPECT_EQ(report.delta().stream(), kDeltaStream);
  EXPECT_EQ(report.delta().incarnation(), 9u);
  EXPECT_EQ(report.delta().number(), seals[0].name.number());
  EXPECT_FALSE(report.without_delta());
}

TEST_F(DeltaSealsTest, ABlockSaysWhichPartitionsItHasChangesOf) {
  const auto seals = Only<SealDelta>(Run(100, "changes"));
  ASSERT_EQ(seals.size(), 1u);
  const proto::Envelope message = MessageOf(seals[0]);
  const auto& block = message.seal_slices().slices(0).block();
  ASSERT_EQ(block.partitions_size(), 2);
  EXPECT_EQ(block.partitions(0), 2u);
  EXPECT_EQ(block.partitions(1), 2u);
}

TEST_F(DeltaSealsTest, ABatchThatChangesNothingHasNone) {
  const auto commands = Run(100, "");
  EXPECT_EQ(Sealing(commands), Numbers{});
  EXPECT_FALSE(Reports(commands).at(0).has_delta());
  EXPECT_FALSE(Reports(commands).at(0).without_delta());
}

// It takes them in order only: one that is lost, of whatever generation, would hold up the others.
TEST_F(DeltaSealsTest, EachIsSentAgainInOrderUntilTheDaemonHasIt) {
  EXPECT_EQ(Sealing(Run(100, "a")), Numbers{1});
  EXPECT_EQ(Sealing(Run(200, "b")), Numbers{2});
  Join(2);
  EXPECT_EQ(Sealing(Run(100, "c")), Numbers{3});
  EXPECT_EQ(Sealing(Later()), (Numbers{1, 2, 3}));
  Step(DeltaSealed{1});
  EXPECT_EQ(Sealing(Later()), (Numbers{2, 3}));
  Step(DeltaSealed{2});
  Step(DeltaSealed{3});
  EXPECT_EQ(Sealing(Later()), Numbers{});
}

// All that waited was encoded and sent twice a second, for as long as the daemon had no room.
TEST_F(DeltaSealsTest, ThoseThatTheDaemonDoesNotTakeAreSentAgainLessAndLessOften) {
  for (int64_t batch = 1; batch <= 3; ++batch) Run(batch * 100, "changes");
  size_t sent = 0;
  for (int i = 0; i < 100; ++i) sent += Sealing(Later()).size();  // a minute
  EXPECT_LE(sent, 3 * 10u);
  // It has room: what may have been lost behind it is due as at first.
  Step(DeltaSealed{1});
  EXPECT_EQ(Sealing(Later()), (Numbers{2, 3}));
}

TEST_F(DeltaSealsTest, ThoseThatWaitForADaemonWithoutRoomAreBounded) {
  const std::string much(100, 'x');
  EXPECT_EQ(Sealing(Run(100, much)), Numbers{1});
  EXPECT_EQ(Sealing(Run(200, much)), Numbers{2});
  const auto third = Run(300, much);
  EXPECT_EQ(Sealing(third), Numbers{});
  EXPECT_TRUE(Reports(third).at(0).without_delta());
  Step(DeltaSealed{1});
  EXPECT_EQ(Sealing(Run(400, much)), Numbers{3});
  const auto larger = Run(500, much + "x");
  EXPECT_TRUE(Reports(larger).at(0).without_delta());  // than any may be
}

}  // namespace
}  // namespace sluice
