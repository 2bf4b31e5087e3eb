// Records that end their executor, in the job driver's core: found one by one, left out, and
// charged instead of their task.
#include "driver/job/job_driver_core_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

class CulpritsTest : public testing::Test {
 protected:
  CulpritsTest() {
    JobDriverOptions options;
    options.bad_records_max = 100;
    options.objects = "/store/objects";
    options.checkpoint_interval_ms = 3'600'000;
    options.task_max_failures = 2;
    cluster_.emplace(2, RecoveredJob{}, options);
    cluster_->Announce();
    cluster_->hold_reports = true;
    cluster_->RunUntil([&] { return !cluster_->granted.empty(); });
    batch_ms_ = cluster_->granted[0].second.batch_ms();
  }
  void Crash(uint64_t record) {
    const size_t grants = cluster_->grants.size();
    proto::Envelope m;
    auto& exited = *m.mutable_executor_exited();
    exited.set_epoch(1);
    exited.set_executor(cluster_->grants.back().members(0).executor());
    for (const auto& member : cluster_->grants.back().members()) {
      if (member.slots() == 0) exited.set_executor(member.executor());
    }
    exited.set_cause("signal 11");
    exited.set_own_fault(true);
    auto& task = *exited.add_tasks();
    task.set_batch_ms(batch_ms_);
    task.set_record(record);
    cluster_->granted.clear();
    cluster_->Deliver("w0", m);
    cluster_->RunUntil([&] { return cluster_->end || cluster_->grants.size() > grants; });
    cluster_->RunUntil([&] { return cluster_->end || !Left().empty(); }, 50);
  }
  // Of the newest grant of the batch.
  std::vector<proto::LeftOut> Left() {
    for (auto it = cluster_->granted.rbegin(); it != cluster_->granted.rend(); ++it) {
      if (it->second.batch_ms() != batch_ms_) continue;
      return {it->second.left_out().begin(), it->second.left_out().end()};
    }
    return {};
  }

  std::optional<Cluster> cluster_;
  int64_t batch_ms_ = 0;
};

TEST_F(CulpritsTest, ASuspectedTaskIsToldToMarkItsRecords) {
  Crash(0);
  ASSERT_EQ(Left().size(), 1u);
  EXPECT_TRUE(Left()[0].search());
  EXPECT_EQ(Left()[0].records_size(), 0);
}

TEST_F(CulpritsTest, ARecordThatEndedItsExecutorIsLeftOutAndTheTaskIsNotCharged) {
  Crash(0);
  for (const uint64_t record : {8, 3, 5}) Crash(record);  // more than task_max_failures
  ASSERT_FALSE(cluster_->end.has_value());
  ASSERT_EQ(Left().size(), 1u);
  const proto::LeftOut left = Left()[0];
  EXPECT_THAT(left.records(), testing::ElementsAre(2, 4, 7));
  EXPECT_EQ(left.errors(0), "killed by signal 11");
}

// The word about the first executor came late: its link had broken, and others ran the task.
TEST_F(CulpritsTest, ATaskIsNotChargedForCrashesBeforeItsRecordsWereMarked) {
  for (const uint32_t executor : {1, 2}) {
    proto::Envelope m;
    auto& exited = *m.mutable_executor_exited();
    exited.set_epoch(1);
    exited.set_executor(executor);
    exited.set_cause("signal 11");
    exited.set_own_fault(true);
    exited.add_tasks()->set_batch_ms(batch_ms_);
    cluster_->Deliver("w0", m);
  }
  EXPECT_FALSE(cluster_->end.has_value());
  cluster_->granted.clear();
  ASSERT_TRUE(cluster_->RunUntil([&] { return !Left().empty(); }));
  EXPECT_TRUE(Left()[0].search());
}

TEST_F(CulpritsTest, TheNumberOfExecutorsThatASearchMayCostIsBounded) {
  uint64_t crashes = 0;
  while (!cluster_->end.has_value() && crashes < 100) Crash(++crashes);
  EXPECT_EQ(crashes, Blame::kCulpritsMax + 2);  // and then task_max_failures
  EXPECT_EQ(cluster_->end->exit_code, 1);
}

}  // namespace
}  // namespace sluice
