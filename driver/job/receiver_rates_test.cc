#include "driver/job/receiver_rates.h"

#include "driver/job/job_driver_core_fixture.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

JobDriverOptions Paced() {
  JobDriverOptions options;
  options.backpressure = true;
  return options;
}

class ReceiverRatesTest : public testing::Test {
 protected:
  // A thousand records a second: a block every tenth of one.
  void PushFor(Cluster& cluster, int64_t ms) {
    for (int64_t done = 0; done < ms; done += 10) {
      if (done % 100 == 0) {
        cluster.PushBlock(9, ++number_, next_, next_ + 99);
        next_ += 100;
      }
      cluster.Advance(10'000);
    }
  }
  // Batches that are reported later than they come.
  void RunSlowly(Cluster& cluster, int64_t batch_ms, int batches) {
    cluster.hold_reports = true;
    for (int i = 0; i < batches; ++i) {
      PushFor(cluster, batch_ms);
      const int64_t oldest = cluster.core().state().FirstUndecided();
      if (oldest != 0) cluster.Release(oldest);
    }
  }
  static bool Bounded(const Cluster& cluster) {
    return std::any_of(cluster.rates.begin(), cluster.rates.end(),
                       [](const auto& told) { return told.rates(0).records_per_s() > 0; });
  }
  static double LastRate(const Cluster& cluster) {
    return cluster.rates.empty() ? 0 : cluster.rates.back().rates(0).records_per_s();
  }

  uint64_t number_ = 0;
  int64_t next_ = 1;
};

TEST_F(ReceiverRatesTest, NothingIsBoundedWhileBatchesAreInTime) {
  Cluster cluster(1, {}, Paced());
  cluster.Announce();
  PushFor(cluster, 10'000);
  EXPECT_FALSE(Bounded(cluster));
}

TEST_F(ReceiverRatesTest, BatchesThatTakeTooLongBoundTheRateByWhatTheyManage) {
  Cluster cluster(1, {}, Paced());
  cluster.Announce();
  RunSlowly(cluster, 2'000, 4);
  ASSERT_FALSE(cluster.rates.empty());
  EXPECT_GT(LastRate(cluster), 0);
  EXPECT_LT(LastRate(cluster), 1'000);
}

// Batches in flight end together when they ran beside each other. The second one seemed to have
// taken no time, and the rate of a job that was ten times too slow went up to what was offered.
TEST_F(ReceiverRatesTest, BatchesThatEndTogetherAreMeasuredTogether) {
  Cluster cluster(1, {}, Paced());
  cluster.Announce();
  cluster.hold_reports = true;
  for (int round = 0; round < 5; ++round) {
    PushFor(cluster, 10'000);
    for (int i = 0; i < 2; ++i) {
      const int64_t oldest = cluster.core().state().FirstUndecided();
      ASSERT_NE(oldest, 0);
      cluster.Release(oldest);
      cluster.Advance(10'000);
    }
    PushFor(cluster, 300);
    EXPECT_GT(LastRate(cluster), 0) << round;
    EXPECT_LT(LastRate(cluster), 300) << round;  // 2,000 records in 10 s
  }
}

TEST_F(ReceiverRatesTest, WithoutBackpressureNothingIsBounded) {
  Cluster cluster(1);
  cluster.Announce();
  RunSlowly(cluster, 2'000, 4);
  EXPECT_FALSE(Bounded(cluster));
}

// A sink that is down holds publication, publication holds ticks, and that slows intake.
TEST_F(ReceiverRatesTest, ASinkThatIsDownSlowsReceiversAndLetsGoWhenItIsBack) {
  JobDriverOptions options = Paced();
  options.batches_undecided_max = 4;
  Cluster cluster(1, {}, options);
  cluster.Announce();
  PushFor(cluster, 5'000);
  cluster.publish_error = "the disk is away";
  PushFor(cluster, 30'000);
  EXPECT_LT(LastRate(cluster), 10);
  EXPECT_GT(LastRate(cluster), 0);
  cluster.publish_error.clear();
  const int64_t since = cluster.core().state().last_decided_ms();
  PushFor(cluster, 20'000);  // back-off of publication among it
  int batches = 0;
  for (const proto::Entry& entry : cluster.log) {
    batches += entry.has_decided() && entry.decided().batch_ms() > since;
  }
  EXPECT_GE(batches, 10);
  EXPECT_GE(LastRate(cluster), 950);
}

// Receivers stayed at one record a second for ever when the job driver was replaced.
TEST_F(ReceiverRatesTest, TheNextDriverLiftsTheBoundThatTheFormerOneTold) {
  for (const JobDriverOptions& options : {Paced(), JobDriverOptions()}) {
    Cluster cluster(1, {}, options);
    cluster.Announce();
    ASSERT_TRUE(cluster.RunUntil([&] { return !cluster.rates.empty(); }));
    EXPECT_EQ(LastRate(cluster), 0);
    EXPECT_EQ(cluster.rates.back().rates_size(), 1);
  }
}

TEST_F(ReceiverRatesTest, AReceiverThatIsNewHearsTheRateWithinASecond) {
  Cluster cluster(1, {}, Paced());
  cluster.Announce();
  RunSlowly(cluster, 2'000, 4);
  cluster.rates.clear();
  cluster.Advance(1'000'000);
  cluster.Advance(100'000);
  EXPECT_FALSE(cluster.rates.empty());
}

}  // namespace
}  // namespace sluice
