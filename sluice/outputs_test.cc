// Output operations that run the program's code: what they are called with, when, and how often.
#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

template <class Identity, class T>
struct Call {
  Identity identity;
  std::vector<T> records;
};

template <class Identity, class T>
class Calls {
 public:
  void Add(const Identity& identity, std::vector<T> records) {
    const std::lock_guard lock(mutex_);
    calls_.push_back({identity, std::move(records)});
  }
  std::vector<Call<Identity, T>> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(calls_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<Call<Identity, T>> calls_;
};
using PartitionCalls = Calls<PartitionIdentity, int64_t>;
using BatchCalls = Calls<BatchIdentity, int64_t>;

auto Recording(PartitionCalls& calls) {
  return [&calls](const PartitionBatch<int64_t>& batch) {
    EXPECT_EQ(batch.time_ms(), batch.identity().batch_ms);
    EXPECT_EQ(batch.partition(), batch.identity().partition);
    EXPECT_EQ(batch.empty(), batch.size() == 0);
    calls.Add(batch.identity(), batch.Collect());
  };
}

TEST(ForeachPartition, SeesEachPartitionOfEachBatchOnce) {
  PartitionCalls calls;
  TestContext test({.partitions = 3});
  TestInput<int64_t> numbers(test);
  numbers.stream().Repartition(3).ForeachPartition(Recording(calls));
  numbers.Push({1, 2, 3, 4, 5, 6});
  numbers.Push({});
  numbers.PushNoDataset();
  std::set<std::pair<int64_t, uint32_t>> seen;
  std::set<uint64_t> fences, instances;
  std::vector<int64_t> records;
  for (int batch = 1; batch <= 3; ++batch) {
    ASSERT_TRUE(test.RunBatch().ok());
    const auto made = calls.Take();
    EXPECT_THAT(made, SizeIs(batch == 3 ? 0 : 3));
    for (const auto& call : made) {
      EXPECT_EQ(call.identity.batch_ms, test.batch_ms());
      EXPECT_EQ(call.identity.output, 0u);
      EXPECT_TRUE(seen.emplace(call.identity.batch_ms, call.identity.partition).second);
      fences.insert(call.identity.fence);
      instances.insert(call.identity.job_instance);
      records.insert(records.end(), call.records.begin(), call.records.end());
    }
  }
  EXPECT_THAT(records, testing::UnorderedElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(fences, SizeIs(1));
  EXPECT_THAT(instances, SizeIs(1));
  EXPECT_NE(*instances.begin(), 0u);
}

TEST(ForeachPartition, RunsForAChainAndForASourceToo) {
  PartitionCalls calls;
  TestContext test({.slots = 2});
  TestInput<int64_t> numbers(test);
  numbers.stream()
      .Filter([](int64_t n) { return n > 1; })
      .Map([](int64_t n) { return n * 10; })
      .ForeachPartition(Recording(calls));
  numbers.Push({1, 2, 3});
  ASSERT_TRUE(test.RunBatch().ok());
  std::vector<int64_t> records;
  const auto made = calls.Take();
  EXPECT_THAT(made, SizeIs(2));
  for (const auto& call : made) {
    records.insert(records.end(), call.records.begin(), call.records.end());
  }
  EXPECT_THAT(records, ElementsAre(20, 30));
}

TEST(ForeachPartition, AFailedCallIsMadeAgainWithTheSameIdentity) {
  PartitionCalls calls;
  std::atomic<int> failures = 2;
  TestContext test({.partitions = 1, .conf = {{"task_max_failures", "3"}}});
  TestInput<int64_t> numbers(test);
  numbers.stream().Repartition(1).ForeachPartition([&](const PartitionBatch<int64_t>& batch) {
    calls.Add(batch.identity(), batch.Collect());
    if (failures-- > 0) throw std::runtime_error("the sink is away");
  });
  numbers.Push({7});
  ASSERT_TRUE(test.RunBatch().ok());
  const auto made = calls.Take();
  ASSERT_THAT(made, SizeIs(3));
  for (const auto& call : made) {
    EXPECT_EQ(call.identity.batch_ms, test.batch_ms());
    EXPECT_EQ(call.identity.partition, 0u);
    EXPECT_THAT(call.records, ElementsAre(7));
  }
}

TEST(ForeachPartition, WhatItThrowsForGoodFailsTheBatch) {
  TestContext test({.conf = {{"task_max_failures", "2"}}});
  TestInput<int64_t> numbers(test);
  numbers.stream().ForeachPartition(
      [](const PartitionBatch<int64_t>&) { throw std::runtime_error("the sink is away"); });
  const Outcome outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.message, HasSubstr("ForeachPartition"));
  EXPECT_THAT(outcome.message, HasSubstr("the sink is away"));
}

// A job that is taken up rebuilds its state from the decided batches since the checkpoint: none of
// them has effects again. The fence of the new driver is above the former one's.
TEST(ForeachPartition, ARebuildHasNoEffectsAndTheFenceGrows) {
  const std::string directory = testing::TempDir() + "no-effects-twice";
  std::filesystem::remove_all(directory);
  std::set<std::pair<int64_t, uint32_t>> seen;
  uint64_t fence = 0, instance = 0;
  for (int context = 0; context < 2; ++context) {
    PartitionCalls calls;
    TestContext test({.partitions = 2, .conf = {{"checkpoint_interval", "1h"}},
                      .checkpoint = directory});
    TestInput<int64_t> numbers(test);
    numbers.stream()
        .Map([](int64_t n) { return std::pair{n, int64_t{1}}; })
        .UpdateStateByKey("counts",
                          [](std::span<const int64_t> values, std::optional<int64_t> count) {
                            return std::optional(count.value_or(0) +
                                                 static_cast<int64_t>(values.size()));
                          })
        .Map([](const std::pair<int64_t, int64_t>& row) { return row.second; })
        .ForeachPartition(Recording(calls));
    uint64_t lowest = UINT64_MAX;
    for (int batch = 1; batch <= 3; ++batch) {
      numbers.Push({5});
      ASSERT_TRUE(test.RunBatch().ok());
      std::vector<int64_t> records;
      for (const auto& call : calls.Take()) {
        EXPECT_EQ(call.identity.batch_ms, test.batch_ms());
        EXPECT_TRUE(seen.emplace(call.identity.batch_ms, call.identity.partition).second);
        lowest = std::min(lowest, call.identity.fence);
        if (instance == 0) instance = call.identity.job_instance;
        EXPECT_EQ(call.identity.job_instance, instance);
        records.insert(records.end(), call.records.begin(), call.records.end());
      }
      EXPECT_THAT(records, ElementsAre(3 * context + batch));
    }
    EXPECT_GT(lowest, fence);
    fence = lowest;
  }
  EXPECT_THAT(seen, SizeIs(2 * 6));
  std::filesystem::remove_all(directory);
}

TEST(ForeachBatch, SeesEachDatasetOnceInOrderOfTime) {
  BatchCalls calls;
  TestContext test({.partitions = 3});
  TestInput<int64_t> numbers(test);
  numbers.stream().ForeachBatch([](const Batch<int64_t>&) {});
  numbers.stream().Repartition(3).ForeachBatch([&](const Batch<int64_t>& batch) {
    EXPECT_EQ(batch.time_ms(), batch.identity().batch_ms);
    std::vector<int64_t> records;
    batch.ForEach([&](int64_t n) { records.push_back(n); });
    EXPECT_EQ(records, batch.Collect());
    EXPECT_EQ(batch.size(), records.size());
    EXPECT_EQ(batch.empty(), records.empty());
    calls.Add(batch.identity(), records);
  });
  numbers.Push({1, 2, 3, 4});
  numbers.Push({});
  numbers.PushNoDataset();
  numbers.Push({9});
  for (int batch = 1; batch <= 4; ++batch) ASSERT_TRUE(test.RunBatch().ok());
  const auto made = calls.Take();
  ASSERT_THAT(made, SizeIs(3));
  EXPECT_THAT(made[0].records, testing::UnorderedElementsAre(1, 2, 3, 4));
  EXPECT_THAT(made[1].records, IsEmpty());
  EXPECT_THAT(made[2].records, ElementsAre(9));
  const std::vector<int64_t> batches{1, 2, 4};
  for (size_t i = 0; i < made.size(); ++i) {
    EXPECT_EQ(made[i].identity.batch_ms, TestContext::kZeroMs + 1000 * batches[i]);
    EXPECT_EQ(made[i].identity.output, 1u);
    EXPECT_EQ(made[i].identity.job_instance, made[0].identity.job_instance);
    EXPECT_EQ(made[i].identity.fence, made[0].identity.fence);
  }
}

TEST(ForeachBatch, WhatItThrowsFailsTheBatch) {
  TestContext test;
  TestInput<int64_t> numbers(test);
  numbers.stream().ForeachBatch(
      [](const Batch<int64_t>&) { throw std::runtime_error("the sink is away"); });
  const Outcome outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.message, HasSubstr("ForeachBatch threw: the sink is away"));
}

TEST(ForeachBatch, ASkippedBatchIsSeenEmpty) {
  BatchCalls calls;
  TestContext test({.conf = {{"on_batch_failure", "skip"}, {"task_max_failures", "1"}}});
  TestInput<int64_t> numbers(test);
  numbers.stream()
      .Map([](int64_t n) {
        if (n == 0) throw std::runtime_error("zero");
        return n;
      })
      .ForeachBatch([&](const Batch<int64_t>& batch) {
        calls.Add(batch.identity(), batch.Collect());
      });
  numbers.Push({1});
  numbers.Push({0});
  numbers.Push({2});
  for (int batch = 1; batch <= 3; ++batch) ASSERT_TRUE(test.RunBatch().ok());
  const auto made = calls.Take();
  ASSERT_THAT(made, SizeIs(3));
  EXPECT_THAT(made[1].records, IsEmpty());
  EXPECT_THAT(made[2].records, ElementsAre(2));
  EXPECT_GT(made[2].identity.fence, made[0].identity.fence);
}

// It was skipped again and again, as it failed again with nothing in it.
TEST(ForeachBatch, ASinkThatStaysAwayCostsItsBatchesAndNoMore) {
  int calls = 0;
  TestContext test({.conf = {{"on_batch_failure", "skip"}}});
  TestInput<int64_t> numbers(test);
  numbers.stream().ForeachBatch([&](const Batch<int64_t>& batch) {
    ++calls;
    if (batch.identity().batch_ms == TestContext::kZeroMs + 1000) {
      throw std::runtime_error("the sink is away");
    }
  });
  numbers.Push({1});
  numbers.Push({2});
  ASSERT_TRUE(test.RunBatch().ok());
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace sluice
