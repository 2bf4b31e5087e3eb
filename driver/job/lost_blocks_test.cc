// Blocks that nobody has any more, in the job driver's core: of a local job, which was killed with
// what it had received, and of a job on a cluster, which asks.
#include "driver/job/job_driver_core_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::Contains;
using testing::HasSubstr;

JobDriverOptions Local() {
  JobDriverOptions options;
  options.local = true;
  options.replication = 1;
  options.received_log = "/store";
  return options;
}

// A job that received ten records, decided the batch with them, received three more, and died with
// the only copies of both blocks.
class LostBlocksTest : public testing::Test {
 protected:
  void Die(bool reliable, bool in_store = false) {
    Cluster before(1);
    before.reliable = reliable;
    before.Announce();
    const JobState& state = before.core().state();
    ASSERT_TRUE(before.RunUntil([&] { return state.sealed_ms() > 0; }));  // the first batch
    before.PushBlock(9, 1, 1, 10);
    ASSERT_TRUE(before.RunUntil([&] { return state.records_total() == 10; }));
    before.PushBlock(9, 2, 11, 13);
    ASSERT_TRUE(before.RunUntil([&] { return before.verdicts.size() == 2; }));
    ASSERT_EQ(state.blocks().size(), 2u);  // no checkpoint covers them
    for (proto::Entry entry : before.log) {
      if (in_store && entry.has_block_added()) {
        entry.mutable_block_added()->mutable_block()->set_in_store(true);
      }
      ASSERT_TRUE(recovered_.state.Apply(entry).ok());
    }
    recovered_.next_slot = 100;
  }
  void StartAgain(const JobDriverOptions& options) {
    cluster_ = std::make_unique<Cluster>(1, recovered_, options);
    cluster_->Announce();
  }
  bool GoesOn() {
    return cluster_->RunUntil([&] {
      return cluster_->core().state().last_decided_ms() > recovered_.state.last_planned_ms();
    }, 2000);
  }
  proto::JobStatus Status() { return cluster_->core().Status(); }

  RecoveredJob recovered_;
  std::unique_ptr<Cluster> cluster_;
};

// It stayed RECOVERING for ever, and `sluice job accept-loss` does not reach a local job.
TEST_F(LostBlocksTest, ALocalJobGoesOnWithoutWhatItsSourceCannotSendAgain) {
  Die(/*reliable=*/false);
  StartAgain(Local());
  EXPECT_TRUE(GoesOn());
  EXPECT_EQ(Status().failure(), "");
  EXPECT_EQ(Status().state(), "RUNNING");
  EXPECT_EQ(Status().lost_records(), 13u);
  EXPECT_THAT(cluster_->warnings, Contains("the job goes on without 2 received blocks of stream "
                                           "orders, which are lost: 13 records"));
}

TEST_F(LostBlocksTest, WhatWasLostStaysCountedWhenCheckpointsCoverIt) {
  Die(/*reliable=*/false);
  StartAgain(Local());
  ASSERT_TRUE(GoesOn());
  const JobState& state = cluster_->core().state();
  ASSERT_TRUE(cluster_->RunUntil([&] { return state.blocks().empty(); }, 4000));
  JobState restored;
  restored.Restore(state.Keep(1));
  EXPECT_EQ(restored.lost_records(), 13u);
}

TEST_F(LostBlocksTest, ALocalJobAsksWhereItsSourceWasToldThatTheyAreSafe) {
  Die(/*reliable=*/true);
  StartAgain(Local());
  EXPECT_FALSE(GoesOn());
  EXPECT_EQ(Status().lost_records(), 0u);
  EXPECT_EQ(Status().failure().find("2 received blocks are lost, first stream 0"), 0u);
  EXPECT_THAT(Status().failure(), HasSubstr("; another start with accept_loss=on goes on"));
  JobDriverOptions options = Local();
  options.accept_loss = true;
  StartAgain(options);
  EXPECT_TRUE(GoesOn());
  EXPECT_EQ(Status().lost_records(), 13u);
}

TEST_F(LostBlocksTest, ALocalJobAsksWhereTheStoreHadThem) {
  Die(/*reliable=*/false, /*in_store=*/true);
  StartAgain(Local());
  for (uint64_t number : {1, 2}) {
    proto::Envelope m;
    auto& failed = *m.mutable_block_not_restored();
    *failed.mutable_name() = NameOf(kInstance, {0, 9, number});
    failed.set_worker_id("w0");
    failed.set_gone(true);
    cluster_->Deliver("w0", m);
  }
  EXPECT_FALSE(GoesOn());
  EXPECT_THAT(Status().failure(), HasSubstr("2 received blocks are lost"));
}

TEST_F(LostBlocksTest, ALocalJobGivesUpNothingOfAWorkerThatIsOnlySilent) {
  StartAgain(Local());
  cluster_->reliable = false;
  const JobState& state = cluster_->core().state();
  ASSERT_TRUE(cluster_->RunUntil([&] { return state.sealed_ms() > 0; }));
  cluster_->PushBlock(9, 1, 1, 10);
  ASSERT_TRUE(cluster_->RunUntil([&] { return state.records_total() == 10; }));
  cluster_->silent = {"w0"};
  cluster_->RunUntil([&] { return !Status().failure().empty() || Status().lost_records() > 0; },
                     2000);
  EXPECT_THAT(Status().failure(), HasSubstr("1 received blocks are lost"));
  EXPECT_EQ(Status().lost_records(), 0u);
}

TEST_F(LostBlocksTest, AJobOnAClusterAsksAlways) {
  Die(/*reliable=*/false);
  StartAgain({});
  EXPECT_FALSE(GoesOn());
  EXPECT_THAT(Status().failure(), HasSubstr("; `sluice job accept-loss` goes on without them"));
  proto::Envelope accept;
  accept.mutable_accept_loss();
  cluster_->Deliver("daemon", accept);
  EXPECT_TRUE(GoesOn());
  EXPECT_EQ(Status().lost_records(), 13u);
}

}  // namespace
}  // namespace sluice
