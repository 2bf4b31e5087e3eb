#include "driver/job/slow_workers.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using Loads = std::map<std::string, WorkerLoad>;

constexpr int64_t kIntervalMs = 1000;
constexpr Loads::mapped_type kQuick{100'000, 1000}, kSlow{700'000, 1000};

// Feeds so many batches; the ids that were found, in order.
std::vector<std::string> Feed(SlowWorkers& slow, const Loads& loads, int batches,
                              int64_t* batch_ms) {
  std::vector<std::string> found;
  for (int i = 0; i < batches; ++i) {
    *batch_ms += kIntervalMs;
    for (const SlowWorker& worker : slow.OnBatch(*batch_ms, loads)) {
      found.push_back(worker.worker_id);
    }
  }
  return found;
}

TEST(SlowWorkersTest, OneOfThreeIsFoundOnceAfterSixteenBatches) {
  SlowWorkers slow(kIntervalMs);
  const Loads loads{{"a", kQuick}, {"b", kSlow}, {"c", kQuick}};
  int64_t at = 0;
  EXPECT_EQ(Feed(slow, loads, 15, &at), std::vector<std::string>{});
  EXPECT_TRUE(slow.outliers().empty());
  EXPECT_EQ(Feed(slow, loads, 1, &at), std::vector<std::string>{"b"});
  EXPECT_EQ(Feed(slow, loads, 30, &at), std::vector<std::string>{});
  ASSERT_EQ(slow.outliers().size(), 1u);
  EXPECT_EQ(slow.outliers()[0].worker_id, "b");
  EXPECT_DOUBLE_EQ(slow.outliers()[0].times, 7);
  EXPECT_EQ(slow.outliers()[0].since_batch_ms, kIntervalMs);
}

// Copies of its tasks had made its batches short, and it was never found.
TEST(SlowWorkersTest, OneWhoseCopiesAreFasterIsFoundToo) {
  SlowWorkers slow(kIntervalMs);
  Loads loads{{"a", kQuick}, {"b", {300'000, 1000, /*outrun=*/true}}};
  int64_t at = 0;
  EXPECT_EQ(Feed(slow, loads, 16, &at), std::vector<std::string>{"b"});
  loads["b"].busy_us = 200'000;  // nobody is held up
  SlowWorkers other(kIntervalMs);
  EXPECT_EQ(Feed(other, loads, 30, &at), std::vector<std::string>{});
}

TEST(SlowWorkersTest, FiveGoodBatchesOfTwentyAcquit) {
  SlowWorkers slow(kIntervalMs);
  const Loads bad{{"a", kQuick}, {"b", kSlow}, {"c", kQuick}};
  const Loads good{{"a", kQuick}, {"b", kQuick}, {"c", kQuick}};
  int64_t at = 0;
  Feed(slow, bad, 30, &at);
  Feed(slow, good, 4, &at);
  EXPECT_EQ(slow.outliers().size(), 1u);
  Feed(slow, good, 1, &at);
  EXPECT_TRUE(slow.outliers().empty());
  for (int i = 0; i < 30; ++i) {  // three batches of four
    EXPECT_EQ(Feed(slow, bad, 3, &at), std::vector<std::string>{});
    EXPECT_EQ(Feed(slow, good, 1, &at), std::vector<std::string>{});
  }
}

TEST(SlowWorkersTest, EmptyBatchesNeitherAccuseNorAcquit) {
  SlowWorkers slow(kIntervalMs);
  const Loads bad{{"a", kQuick}, {"b", kSlow}, {"c", kQuick}};
  int64_t at = 0;
  Feed(slow, bad, 10, &at);
  EXPECT_EQ(Feed(slow, {{"a", {}}, {"b", {400'000, 0}}, {"c", {}}}, 50, &at),
            std::vector<std::string>{});
  EXPECT_EQ(Feed(slow, bad, 5, &at), std::vector<std::string>{});
  EXPECT_EQ(Feed(slow, bad, 1, &at), std::vector<std::string>{"b"});
}

TEST(SlowWorkersTest, NobodyIsAccusedWhere) {
  const struct {
    const char* why;
    Loads loads;
  } kRows[] = {
      {"there are only two", {{"a", kQuick}, {"b", kSlow}}},
      {"it has nine times the records", {{"a", kQuick}, {"b", {900'000, 9000}}, {"c", kQuick}}},
      {"batches are short all the same",
       {{"a", {10'000, 1000}}, {"b", {200'000, 1000}}, {"c", {10'000, 1000}}}},
      {"it has a few dear records only, and is done in time",
       {{"a", kQuick}, {"b", {100'000, 10}}, {"c", kQuick}}},
      {"the others had nothing to do", {{"a", {}}, {"b", {900'000, 5}}, {"c", {}}}},
      {"all are slow", {{"a", kSlow}, {"b", kSlow}, {"c", kSlow}}},
  };
  for (const auto& row : kRows) {
    SlowWorkers slow(kIntervalMs);
    int64_t at = 0;
    EXPECT_EQ(Feed(slow, row.loads, 100, &at), std::vector<std::string>{}) << row.why;
  }
}

TEST(SlowWorkersTest, TwoDoNotHideEachOther) {
  SlowWorkers slow(kIntervalMs);
  int64_t at = 0;
  EXPECT_EQ(Feed(slow, {{"a", kQuick}, {"b", kSlow}, {"c", kSlow}, {"d", kQuick}}, 20, &at),
            (std::vector<std::string>{"b", "c"}));
}

TEST(SlowWorkersTest, AWorkerThatLeftIsForgotten) {
  SlowWorkers slow(kIntervalMs);
  const Loads bad{{"a", kQuick}, {"b", kSlow}, {"c", kQuick}};
  int64_t at = 0;
  Feed(slow, bad, 20, &at);
  Feed(slow, {{"a", kQuick}, {"c", kQuick}, {"d", kQuick}}, 1, &at);
  EXPECT_TRUE(slow.outliers().empty());
  EXPECT_EQ(Feed(slow, bad, 15, &at), std::vector<std::string>{});
}

}  // namespace
}  // namespace sluice
