// A task that ends its executor: who is charged, who is tried alone, who is left in peace.
#include <string>

#include "driver/job/job_driver_core_fixture.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

JobDriverOptions Attempts(uint32_t failures_max) {
  JobDriverOptions options;
  options.task_max_failures = failures_max;
  return options;
}

// Two workers; a batch is with the executors and nobody reports.
class CrashesTest : public testing::Test {
 protected:
  void Begin(uint32_t failures_max, bool skip = false) {
    JobDriverOptions options = Attempts(failures_max);
    options.skip_failed_batches = skip;
    cluster_.emplace(2, RecoveredJob{}, options);
    cluster_->Announce();
    cluster_->hold_reports = true;
    ASSERT_TRUE(cluster_->RunUntil([&] { return !cluster_->granted.empty(); }));
    batch_ms_ = cluster_->granted[0].second.batch_ms();
  }
  const proto::Grant& grant() const { return cluster_->grants.back(); }
  uint32_t Usual() const { return grant().members(0).executor(); }
  // The member that has only what is set apart, or null.
  const proto::Grant::Member* Apart() const {
    for (const auto& member : grant().members()) {
      if (member.slots() == 0) return &member;
    }
    return nullptr;
  }
  void Crash(uint32_t executor, const std::vector<TaskName>& running) {
    const size_t grants = cluster_->grants.size();
    cluster_->Exit(executor, true, running);
    cluster_->RunUntil([&] { return cluster_->end || cluster_->grants.size() > grants; });
  }
  void Decide() {
    cluster_->hold_reports = false;
    ASSERT_TRUE(cluster_->RunUntil(
        [&] { return cluster_->core().state().last_decided_ms() >= batch_ms_; }));
  }

  std::optional<Cluster> cluster_;
  int64_t batch_ms_ = 0;
};

TEST_F(CrashesTest, APartitionThatEndedItsExecutorMovesToOneThatOwnsNothingElse) {
  Begin(4);
  Crash(Usual(), {{batch_ms_, 1, 3}});
  ASSERT_NE(Apart(), nullptr);
  ASSERT_EQ(grant().apart_size(), 1);
  EXPECT_EQ(grant().apart(0).stage(), 1u);
  EXPECT_EQ(grant().apart(0).partition(), 3u);
  EXPECT_EQ(grant().members(grant().apart(0).member()).executor(), Apart()->executor());
  EXPECT_EQ(grant().members_size(), 3);
  Decide();
}

TEST_F(CrashesTest, AMapTaskIsTriedAloneInItsBatchOnly) {
  Begin(4);
  Crash(Usual(), {{batch_ms_, 0, 1}});
  ASSERT_NE(Apart(), nullptr);
  const std::string apart = Apart()->address();
  cluster_->granted.clear();
  Decide();
  cluster_->RunUntil(
      [&] { return cluster_->core().state().last_decided_ms() > batch_ms_ + 1000; });
  bool later = false;
  for (const auto& [to, batch] : cluster_->granted) {
    const auto& tasks = batch.stages(0).tasks();
    const bool has = std::any_of(tasks.begin(), tasks.end(),
                                 [](const auto& task) { return task.task() == 1; });
    later |= batch.batch_ms() > batch_ms_;
    if (batch.batch_ms() == batch_ms_) {
      EXPECT_EQ(has, to == apart) << to;
      EXPECT_LE(tasks.size(), to == apart ? 1 : 2);
    } else {
      EXPECT_TRUE(to != apart || tasks.empty());
    }
  }
  EXPECT_TRUE(later);
}

TEST_F(CrashesTest, WhoeverRanBesideABadTaskIsNeverCharged) {
  Begin(2);
  const TaskName bad{batch_ms_, 1, 3}, good{batch_ms_, 1, 2};
  for (int i = 0; i < 3; ++i) {  // nobody can tell which of them it was
    Crash(Usual(), {bad, good});
    ASSERT_FALSE(cluster_->end.has_value());
  }
  EXPECT_EQ(grant().apart_size(), 2);
  Crash(Apart()->executor(), {bad});
  ASSERT_FALSE(cluster_->end.has_value());
  ASSERT_EQ(grant().apart_size(), 1);  // the other is cleared
  EXPECT_EQ(grant().apart(0).partition(), 3u);
  Crash(Apart()->executor(), {bad});
  ASSERT_TRUE(cluster_->end.has_value());
  EXPECT_EQ(cluster_->end->exit_code, 1);
  for (const char* part : {"operator UpdateStateByKey", "partition 3 of stage 1", "2 times",
                           "signal 11"}) {
    EXPECT_NE(cluster_->end->message.find(part), std::string::npos) << cluster_->end->message;
  }
}

TEST_F(CrashesTest, AnExecutorKilledFromOutsideIsNoAttempt) {
  Begin(2);
  for (int i = 0; i < 5; ++i) {
    const size_t grants = cluster_->grants.size();
    cluster_->Exit(Usual(), false, {{batch_ms_, 1, 3}});
    ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->grants.size() > grants; }, 2'000));
  }
  EXPECT_FALSE(cluster_->end.has_value());
  EXPECT_EQ(Apart(), nullptr);
}

TEST_F(CrashesTest, ACrashThatTheBrokenLinkToldOfFirstIsJudgedAllTheSame) {
  Begin(4);
  const uint32_t victim = Usual();
  const size_t grants = cluster_->grants.size();
  cluster_->Feed(PeerDown{"e" + std::to_string(victim), true});
  ASSERT_TRUE(cluster_->RunUntil([&] { return cluster_->grants.size() > grants; }));
  EXPECT_EQ(Apart(), nullptr);
  Crash(victim, {{batch_ms_, 1, 3}});
  EXPECT_NE(Apart(), nullptr);
}

TEST_F(CrashesTest, ACrashThatIsToldAgainCountsOnce) {
  Begin(2);
  const uint32_t victim = Usual();
  Crash(victim, {{batch_ms_, 1, 3}});
  cluster_->Exit(victim, true, {{batch_ms_, 1, 3}});
  EXPECT_FALSE(cluster_->end.has_value());
}

// Each word of it, of which a daemon says nine, began a generation: all state was loaded anew.
TEST_F(CrashesTest, ACrashThatIsToldAgainDoesNotEndTheTrial) {
  Begin(4);
  const uint32_t victim = Usual();
  Crash(victim, {{batch_ms_, 1, 3}});
  ASSERT_NE(Apart(), nullptr);
  const size_t grants = cluster_->grants.size();
  for (int i = 0; i < 8; ++i) {
    cluster_->Exit(victim, true, {{batch_ms_, 1, 3}});
    cluster_->Advance(300'000);
  }
  EXPECT_EQ(cluster_->grants.size(), grants);
}

// The trial never came to its end.
TEST_F(CrashesTest, ExecutorsThatDoNotComeUpOnAnotherWorkerDoNotEndTheTrial) {
  cluster_.emplace(3);
  cluster_->broken = {"w2"};
  cluster_->by_itself = false;
  cluster_->Announce();
  cluster_->hold_reports = true;
  ASSERT_TRUE(cluster_->RunUntil([&] { return !cluster_->granted.empty(); }));
  Crash(Usual(), {{cluster_->granted[0].second.batch_ms(), 1, 3}});
  ASSERT_NE(Apart(), nullptr);
  const size_t grants = cluster_->grants.size();
  const auto failed = [&] {
    return std::count_if(cluster_->starts.begin(), cluster_->starts.end(),
                         [](const auto& start) { return start.first == "w2"; });
  };
  const auto before = failed();
  ASSERT_TRUE(cluster_->RunUntil([&] { return failed() >= before + 2; }, 5'000));
  EXPECT_EQ(cluster_->grants.size(), grants);
}

TEST_F(CrashesTest, WithSkipTheBatchCountsAsEmptyAndTheJobGoesOnWithoutTheExecutorApart) {
  Begin(2, /*skip=*/true);
  Crash(Usual(), {{batch_ms_, 1, 3}});
  Crash(Apart()->executor(), {{batch_ms_, 1, 3}});
  ASSERT_FALSE(cluster_->end.has_value());
  Decide();
  EXPECT_EQ(cluster_->core().state().failed_batches(), 1u);
  EXPECT_EQ(Apart(), nullptr);
}

TEST_F(CrashesTest, AfterATaskWasTriedInVainTheNextTrialHasAFreshExecutor) {
  Begin(4);
  Crash(Usual(), {{batch_ms_, 1, 3}});
  const uint32_t first = Apart()->executor();
  Decide();
  cluster_->hold_reports = true;
  cluster_->granted.clear();
  ASSERT_TRUE(cluster_->RunUntil([&] { return !cluster_->granted.empty(); }));
  Crash(Usual(), {{cluster_->granted[0].second.batch_ms(), 1, 2}});
  ASSERT_NE(Apart(), nullptr);
  EXPECT_NE(Apart()->executor(), first);
  EXPECT_EQ(grant().members_size(), 3);
}

}  // namespace
}  // namespace sluice
