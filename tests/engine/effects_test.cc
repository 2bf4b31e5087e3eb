// ForeachPartition on several executors: what a loss does to it, and what it costs.
#include <map>
#include <mutex>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/small_cluster.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::Pair;

using Record = std::pair<int64_t, int64_t>;

class EffectsTest : public testing::Test {
 protected:
  // A sum by key with state, whose partitions are counted.
  EffectsTest()
      : context_({.name = "effects", .batch_interval = std::chrono::seconds(1)}) {
    std::vector<Record> records;
    for (int64_t key = 0; key < 256; ++key) records.emplace_back(key, 1);
    context_.QueueStream(std::vector<std::vector<Record>>(40, records))
        .UpdateStateByKey("totals",
                          [](std::span<const int64_t> values, std::optional<int64_t> total) {
                            return std::optional<int64_t>(total.value_or(0) +
                                                          static_cast<int64_t>(values.size()));
                          })
        .ForeachPartition([this](const PartitionBatch<Record>& batch) {
          const std::lock_guard lock(mutex_);
          calls_[{batch.time_ms(), batch.partition()}].push_back(batch.identity().fence);
        });
  }
  std::map<std::pair<int64_t, uint32_t>, std::vector<uint64_t>> Calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

  StreamingContext context_;
  std::mutex mutex_;
  std::map<std::pair<int64_t, uint32_t>, std::vector<uint64_t>> calls_;  // fences, in order
};

TEST_F(EffectsTest, BatchesThatAreRunAgainToRebuildStateHaveNoEffects) {
  SmallCluster cluster(context_, {.workers = 2, .partitions = 8});
  for (int batch = 1; batch <= 12; ++batch) ASSERT_TRUE(cluster.RunBatch());
  const auto before = Calls();
  EXPECT_EQ(before.size(), 12u * 8);
  ASSERT_TRUE(cluster.LoseAnExecutor());
  EXPECT_EQ(Calls(), before);
  for (int batch = 13; batch <= 15; ++batch) ASSERT_TRUE(cluster.RunBatch());
  const auto after = Calls();
  EXPECT_EQ(after.size(), 15u * 8);
  uint64_t highest = 0;
  for (const auto& [partition, fences] : before) highest = std::max(highest, fences.back());
  for (const auto& [partition, fences] : after) {
    EXPECT_EQ(fences.size(), 1u) << partition.first << " " << partition.second;
    if (!before.contains(partition)) {
      EXPECT_GT(fences.front(), highest);
    }
  }
}

TEST_F(EffectsTest, ABatchCostsNoMessageMore) {
  SmallCluster cluster(context_, {.workers = 3, .partitions = 8});
  for (int batch = 1; batch <= 10; ++batch) {
    cluster.TakeCounts();
    ASSERT_TRUE(cluster.RunBatch());
  }
  EXPECT_THAT(cluster.TakeCounts(), ElementsAre(Pair("batch_grant", 3), Pair("batch_report", 3),
                                                Pair("share_bundle", 3 * 2)));
}

}  // namespace
}  // namespace sluice
