// What receivers of sources that cannot send again took and the log never got.
#include "driver/job/receiver_losses.h"

#include "driver/job/job_driver_core_fixture.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr int64_t kLeaseUs = 1'000'000;

JobDriverOptions Options() {
  JobDriverOptions options;
  options.lease_us = kLeaseUs;
  return options;
}

// A receiver of an unreliable source on one of two workers.
class ReceiverLossesTest : public testing::Test {
 protected:
  ReceiverLossesTest() : cluster_(2, {}, Options()) {
    cluster_.Announce();
    cluster_.reliable = false;
    cluster_.RunUntil([&] { return cluster_.core().Status().receivers_size() > 0; });
    for (const auto& [worker, start] : cluster_.starts) {
      if (start.role() != "receivers") continue;
      worker_ = worker;
      executor_ = start.executor();
      incarnation_ = start.incarnations(0);
    }
  }
  void HasTaken(uint64_t records) {
    proto::Envelope m;
    auto& beat = *m.mutable_lease_beat();
    beat.set_job_instance(cluster_.core().members().job_instance());
    beat.set_reply(true);
    beat.set_worker_id(worker_);
    beat.set_incarnation(1);
    auto& taken = *beat.add_taken();
    taken.set_incarnation(incarnation_);
    taken.set_records(records);
    cluster_.Deliver(worker_, m);
  }
  void Logs(uint64_t number, int64_t records) {
    cluster_.PushBlock(incarnation_, number, 1, records, worker_);
  }
  void Dies() { cluster_.Exit(executor_, false); }
  void Pass(int64_t us) {
    for (; us > 0; us -= 100'000) cluster_.Advance(100'000);
  }
  uint64_t Lost() { return cluster_.core().Status().lost_records(); }
  int Retirements() {
    int count = 0;
    for (const auto& entry : cluster_.log) count += entry.has_receiver_retired() ? 1 : 0;
    return count;
  }

  Cluster cluster_;
  std::string worker_;
  uint32_t executor_ = 0;
  uint64_t incarnation_ = 0;
};

TEST_F(ReceiverLossesTest, CountsWhatADeadReceiverTookAndNobodyLogged) {
  HasTaken(10);
  Logs(1, 4);
  EXPECT_EQ(cluster_.core().Status().receivers(0).taken(), 10u);
  Pass(3 * kLeaseUs);
  EXPECT_EQ(Lost(), 0u);  // it lives: the rest is on its way
  Dies();
  Pass(3 * kLeaseUs);
  EXPECT_EQ(Lost(), 6u);
  ASSERT_EQ(cluster_.warnings.size(), 2u);  // its end, and what it lost
  EXPECT_EQ(cluster_.warnings[1].find("6 records of stream orders are lost: worker " + worker_), 0u)
      << cluster_.warnings[1];
  Pass(3 * kLeaseUs);
  EXPECT_EQ(Retirements(), 1);
  EXPECT_EQ(cluster_.warnings.size(), 2u);
}

TEST_F(ReceiverLossesTest, AReceiverThatLeftNothingBehindIsNotRetired) {
  HasTaken(10);
  Logs(1, 10);
  Dies();
  Pass(3 * kLeaseUs);
  EXPECT_EQ(Lost(), 0u);
  EXPECT_EQ(Retirements(), 0);
}

TEST_F(ReceiverLossesTest, BlocksThatComeBackLaterAreLostNoMore) {
  HasTaken(10);
  Dies();
  Pass(3 * kLeaseUs);
  EXPECT_EQ(Lost(), 10u);
  Logs(1, 7);
  EXPECT_EQ(Lost(), 3u);
  JobState restored;
  restored.Restore(cluster_.core().state().Keep(1));
  EXPECT_EQ(restored.lost_records(), 3u);
}

TEST_F(ReceiverLossesTest, ADrainThatFollowsALossSaysItBeforeItEnds) {
  HasTaken(10);
  Dies();
  cluster_.Feed(StopRequested{});
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.end.has_value(); }));
  EXPECT_EQ(cluster_.end->exit_code, 0);
  EXPECT_EQ(Lost(), 10u);
  EXPECT_EQ(Retirements(), 1);
}

// Daemons go on telling the driver of a job that has ended that they hear nothing of it, and its
// port was given to us.
TEST_F(ReceiverLossesTest, ABeatOfAnotherJobCostsNoWorker) {
  Pass(4 * kLeaseUs);
  proto::Envelope m;
  auto& beat = *m.mutable_lease_beat();
  beat.set_worker_id(worker_);
  beat.set_incarnation(1);
  for (const uint64_t instance : {kInstance + 1, kInstance}) {
    beat.set_job_instance(instance);
    beat.set_epoch(cluster_.core().Status().epoch());
    cluster_.Deliver(worker_, m);
    EXPECT_EQ(cluster_.core().members().WorkerServes(worker_), instance != kInstance);
  }
}

}  // namespace
}  // namespace sluice
