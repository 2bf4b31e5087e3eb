// A whole job whose state is in databases that make their writers wait: F35 of docs/faults.md.
#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include "checkpoint/rocksdb_sorted_db.h"
#include "gtest/gtest.h"
#include "tests/engine/small_cluster.h"

namespace sluice {
namespace {

using Record = std::pair<int64_t, std::string>;
constexpr int64_t kKeys = 3000;
constexpr int kBatches = 12;

std::string ValueOf(int64_t key, int64_t round) {
  return std::string(500, static_cast<char>('a' + (key + round) % 26));
}

TEST(StalledStateTest, AJobGoesOnAndAnExecutorIsReplacedWhileTheDatabasesStallTheirWriters) {
  StreamingContext context({.name = "stalled", .batch_interval = std::chrono::seconds(1)});
  std::vector<std::vector<Record>> input(kBatches);
  for (int64_t round = 0; round < kBatches; ++round) {
    for (int64_t key = 0; key < kKeys; ++key) input[round].emplace_back(key, ValueOf(key, round));
  }
  std::mutex mutex;
  std::map<int64_t, std::string> state;
  context.QueueStream(input)
      .UpdateStateByKey("latest",
                        [](std::span<const std::string> values,
                           std::optional<std::string> before) -> std::optional<std::string> {
                          const std::string all = before.value_or("");
                          return values.empty() ? all : values.back() + all.substr(0, 1);
                        })
      .ForeachPartition([&](const PartitionBatch<Record>& batch) {
        const std::lock_guard lock(mutex);
        batch.ForEach([&](const auto& row) { state[row.first] = row.second; });
      });
  std::atomic<int> opened = 0;
  StateBackend backend;
  backend.open = [&opened] {
    return OpenRocksDbSorted({.dir = testing::TempDir() + "/state" + std::to_string(++opened),
                              .memory = 1 << 20,
                              .tiny_triggers = true});
  };
  SmallCluster cluster(context, {.workers = 2, .partitions = 4, .state = backend});
  for (int round = 0; round < kBatches; ++round) {
    ASSERT_TRUE(cluster.RunBatch());
    if (round == kBatches / 2) {
      ASSERT_TRUE(cluster.LoseAnExecutor());
    }
  }
  EXPECT_GE(opened, 3);
  const std::lock_guard lock(mutex);
  ASSERT_EQ(state.size(), static_cast<size_t>(kKeys));
  for (const auto& [key, value] : state) {
    ASSERT_EQ(value, ValueOf(key, kBatches - 1) + ValueOf(key, kBatches - 2)[0]) << key;
  }
}

}  // namespace
}  // namespace sluice
