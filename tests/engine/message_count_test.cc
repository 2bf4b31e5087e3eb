// Execution templates: a batch costs the driver one message per executor, however many tasks it
// has, and batches that are behind travel together.
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/small_cluster.h"

namespace sluice {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Pair;
using testing::SizeIs;

using Record = std::pair<int64_t, int64_t>;

// Two shuffles, the second with state. Every partition has records at every batch.
void Build(StreamingContext& context, int batches) {
  std::vector<Record> records;
  for (int64_t key = 0; key < 4096; ++key) records.emplace_back(key, 1);
  context.QueueStream(std::vector<std::vector<Record>>(batches, records))
      .ReduceByKey(std::plus<>())
      .UpdateStateByKey("totals",
                        [](std::span<const int64_t> values, std::optional<int64_t> total) {
                          return std::optional<int64_t>(total.value_or(0) +
                                                        static_cast<int64_t>(values.size()));
                        })
      .Count()
      .Print();
}

// Messages of the tenth batch.
SmallCluster::Counts MessagesOfABatch(uint32_t partitions) {
  StreamingContext context({.name = "counted", .batch_interval = std::chrono::seconds(1)});
  Build(context, 10);
  SmallCluster cluster(context, {.workers = 3, .partitions = partitions});
  for (int batch = 1; batch <= 10; ++batch) {
    cluster.TakeCounts();
    EXPECT_TRUE(cluster.RunBatch());
  }
  SmallCluster::Counts counts = cluster.TakeCounts();
  counts.erase("lease_beat");  // they go by the clock, whatever the batches do
  return counts;
}

TEST(MessageCountTest, ABatchCostsTheSameAt8AndAt1024Tasks) {
  const SmallCluster::Counts at_8 = MessagesOfABatch(8);
  // Three executors: each is granted once, reports once, and sends the two others one bundle for
  // each of the three shuffles.
  EXPECT_THAT(at_8, ElementsAre(Pair("batch_grant", 3), Pair("batch_report", 3),
                                Pair("share_bundle", 3 * 2 * 3)));
  EXPECT_EQ(MessagesOfABatch(1024), at_8);
}

// Batches that were decided since the last checkpoint, which is that of the first one, run again
// after a loss: they are all there, so they are granted many at a time.
TEST(MessageCountTest, LoggedBatchesTravelTogetherInCatchUp) {
  constexpr int kBatches = 24;
  StreamingContext context({.name = "counted", .batch_interval = std::chrono::seconds(1)});
  Build(context, kBatches);
  SmallCluster cluster(context, {.workers = 2, .partitions = 8});
  for (int batch = 1; batch <= kBatches; ++batch) ASSERT_TRUE(cluster.RunBatch());
  for (const auto& [executor, sizes] : cluster.TakeGrants()) {
    EXPECT_THAT(sizes, Each(1)) << "batches that come one by one are granted one by one";
  }
  ASSERT_TRUE(cluster.LoseAnExecutor());
  const auto grants = cluster.TakeGrants();
  EXPECT_THAT(grants, SizeIs(2));
  for (const auto& [executor, sizes] : grants) {
    EXPECT_EQ(std::accumulate(sizes.begin(), sizes.end(), 0), kBatches - 1) << executor;
    EXPECT_LE(sizes.size(), kBatches / 4u) << executor;
  }
}

}  // namespace
}  // namespace sluice
