#include "driver/job/rate_estimator.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr MonotonicTime kIntervalUs = 1'000'000;

double RateAfter(RateEstimator& rates, const RateEvent& event) {
  return rates.Step(event).value_or(0);
}

TEST(RateEstimatorTest, NoBatchIsLateAndNothingIsBounded) {
  RateEstimator rates(kIntervalUs, 0);
  for (const uint64_t records : {10u, 1'000'000u, 0u, 1u}) {
    EXPECT_EQ(rates.Step(BatchMeasured{records, 900'000, 10'000}), std::nullopt) << records;
  }
}

TEST(RateEstimatorTest, ALateBatchBoundsTheRateByWhatItManaged) {
  RateEstimator rates(kIntervalUs, 0);
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchMeasured{10'000, 2'000'000, 0}), 5'000);
  // One interval of waiting takes a fifth off.
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchMeasured{10'000, 2'000'000, 1'000'000}), 4'000);
  // However much waits, a little goes on, so that it is seen when things are better.
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchMeasured{10'000, 2'000'000, 60'000'000}), 250);
}

TEST(RateEstimatorTest, ASmallBatchThatIsInTimeNeverLowersTheRate) {
  RateEstimator rates(kIntervalUs, 0);
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchMeasured{10'000, 2'000'000, 0}), 5'000);
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchMeasured{3, 3'000, 0}), 5'000);  // 1,000 a second
}

TEST(RateEstimatorTest, GrowsFourfoldAtMostFromBatchToBatch) {
  RateEstimator rates(kIntervalUs, 100);
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchMeasured{100, 10'000, 0}), 400);
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchMeasured{400, 200'000, 0}), 1'600);
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchMeasured{1'600, 800'000, 0}), 2'000);
}

TEST(RateEstimatorTest, WhileNothingIsDecidedTheRateIsHalvedAndHasNoFloorButOneRecord) {
  RateEstimator rates(kIntervalUs, 0);
  EXPECT_EQ(rates.Step(BatchesStuck{0}), std::nullopt);
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchesStuck{1'000}), 500);
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchesStuck{500}), 250);
  for (int i = 0; i < 20; ++i) (void)rates.Step(BatchesStuck{1});
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchesStuck{1}), 1);
}

// Receivers that wait behind a block they took at a very low rate give nothing to measure.
TEST(RateEstimatorTest, EmptyBatchesLetGoToo) {
  RateEstimator rates(kIntervalUs, 0);
  for (int i = 0; i < 30; ++i) (void)rates.Step(BatchesStuck{1'000});
  int batches = 0;
  while (RateAfter(rates, BatchMeasured{0, 3'000, 0}) < 1'000) ASSERT_LT(++batches, 10);
}

// The first burst after a quiet hour was taken whole, for empty batches had let the bound go.
TEST(RateEstimatorTest, EmptyBatchesLetGoToWhatWasProvenAndNoFurther) {
  RateEstimator rates(kIntervalUs, 100);
  for (int i = 0; i < 20; ++i) EXPECT_DOUBLE_EQ(RateAfter(rates, BatchMeasured{0, 3'000, 0}), 100);
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchMeasured{100, 10'000, 0}), 400);
  (void)rates.Step(BatchesStuck{100});
  for (int i = 0; i < 20; ++i) (void)rates.Step(BatchMeasured{0, 3'000, 0});
  EXPECT_DOUBLE_EQ(RateAfter(rates, BatchMeasured{0, 3'000, 0}), 400);
}

// A job in a model: what receivers take in an interval is a batch; batches run one after another.
class ModelJob {
 public:
  explicit ModelJob(double offered) : offered_(offered) {}
  double capacity = 100'000;   // records/s
  double fixed_us = 5'000;     // of every batch
  double rate = 0;
  double waiting_us = 0;       // of the next batch
  double waited_most_us = 0;   // by any batch

  void RunBatch() {
    const double records = rate > 0 ? std::min(rate, offered_) : offered_;
    const double processing = fixed_us + records / capacity * 1e6;
    waited_most_us = std::max(waited_most_us, waiting_us);
    rate = rates_.Step(BatchMeasured{static_cast<uint64_t>(records),
                                     static_cast<MonotonicTime>(processing),
                                     static_cast<MonotonicTime>(waiting_us)})
               .value_or(0);
    waiting_us = std::max(0.0, waiting_us + processing - 1e6);
  }

 private:
  const double offered_;
  RateEstimator rates_{kIntervalUs, 0};
};

TEST(RateEstimatorTest, OverloadIsWorkedOffAndTheRateIsWhatTheJobManages) {
  ModelJob job(200'000);  // twice what it manages
  for (int i = 0; i < 60; ++i) job.RunBatch();
  EXPECT_LT(job.waited_most_us, 2'100'000);
  EXPECT_LT(job.waiting_us, 50'000);
  EXPECT_GT(job.rate, 0.95 * job.capacity);
  EXPECT_LT(job.rate, 1.05 * job.capacity);
}

TEST(RateEstimatorTest, IsBackWithinTenBatchesAfterTheJobWasSlow) {
  for (const double slower : {2.0, 10.0, 100.0}) {
    ModelJob job(200'000);
    for (int i = 0; i < 60; ++i) job.RunBatch();
    const double before = job.rate;
    job.capacity /= slower;
    for (int i = 0; i < 200; ++i) job.RunBatch();
    EXPECT_LT(job.rate, 1.1 * before / slower);
    job.capacity *= slower;
    for (int i = 0; i < 10; ++i) job.RunBatch();
    EXPECT_GT(job.rate, 0.95 * before) << slower;
  }
}

// The rate fell from batch to batch to one record a second, and no batch became any shorter.
TEST(RateEstimatorTest, BatchesThatAreDearWhateverTheyHoldAreNotMadeSmaller) {
  for (const double fixed_us : {1'100'000.0, 3'000'000.0}) {
    ModelJob job(1'000);
    job.fixed_us = fixed_us;
    for (int i = 0; i < 100; ++i) job.RunBatch();
    EXPECT_GE(job.rate, 1'000) << fixed_us;
  }
}

TEST(BatchCostTest, ToldApartByBatchesOfDifferentSize) {
  BatchCost cost;
  cost.Add(100, 60'000);
  EXPECT_EQ(cost.FixedUs(), 0);  // one batch tells nothing
  cost.Add(100, 60'000);
  EXPECT_EQ(cost.FixedUs(), 0);
  cost.Add(300, 80'000);
  EXPECT_NEAR(cost.FixedUs(), 50'000, 1);
  BatchCost empty;
  empty.Add(0, 3'000);
  EXPECT_EQ(empty.FixedUs(), 3'000);
}

TEST(RateEstimatorTest, IsBackWithinTenBatchesAfterASourceWasSilent) {
  RateEstimator rates(kIntervalUs, 0);
  const double before = RateAfter(rates, BatchMeasured{200'000, 2'000'000, 0});
  for (int i = 0; i < 100; ++i) (void)rates.Step(BatchMeasured{0, 3'000, 0});
  EXPECT_GE(RateAfter(rates, BatchMeasured{0, 3'000, 0}), before);
}

}  // namespace
}  // namespace sluice
