// What a checkpoint costs: the bytes of the files that it leaves behind, with the real state
// tables, RocksDB parts and directory.
#include <filesystem>
#include <iostream>
#include <map>
#include <string>

#include "gtest/gtest.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr int kKeys = 100'000;
using Pair = std::pair<std::string, int64_t>;

std::optional<int64_t> AddToTotal(std::span<const int64_t> values, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t value : values) sum += value;
  return sum;
}

// Values that do not compress away beside those of other keys.
Pair Touch(int key, uint64_t round) {
  const uint64_t mixed = (static_cast<uint64_t>(key) + round * kKeys) * 0x9e3779b97f4a7c15;
  return {"customer-" + std::to_string(key), static_cast<int64_t>(mixed >> 32)};
}

class CheckpointBytesTest : public testing::Test {
 protected:
  CheckpointBytesTest() : directory_(testing::TempDir() + "checkpoint-bytes") {
    fs::remove_all(directory_);
    TestOptions options;
    options.partitions = 4;
    options.checkpoint = directory_;
    options.conf = {{"checkpoint_interval", "1s"}};  // at every batch
    test_ = std::make_unique<TestContext>(options);
    input_ = std::make_unique<TestInput<Pair>>(*test_);
    count_ = std::make_unique<TestOutput<int64_t>>(
        *test_, input_->stream().UpdateStateByKey("totals", AddToTotal).Count());
  }
  ~CheckpointBytesTest() override {
    test_.reset();
    fs::remove_all(directory_);
  }

  // Bytes of the objects that the batch added.
  uint64_t BytesOfBatch(const std::vector<Pair>& records) {
    input_->Push(records);
    const Outcome outcome = test_->RunBatch();
    EXPECT_TRUE(outcome.ok()) << outcome.message;
    EXPECT_EQ(count_->last(), std::vector<int64_t>{kKeys});
    std::map<fs::path, uint64_t> now;
    uint64_t added = 0;
    for (const auto& entry : fs::recursive_directory_iterator(directory_ + "/objects")) {
      if (!entry.is_regular_file()) continue;
      now[entry.path()] = entry.file_size();
      if (!seen_.contains(entry.path())) added += entry.file_size();
    }
    seen_ = std::move(now);
    return added;
  }

  const std::string directory_;
  std::unique_ptr<TestContext> test_;
  std::unique_ptr<TestInput<Pair>> input_;
  std::unique_ptr<TestOutput<int64_t>> count_;
  std::map<fs::path, uint64_t> seen_;
};

std::vector<Pair> Every(int nth, uint64_t round) {
  std::vector<Pair> records;
  for (int key = 0; key < kKeys; key += nth) records.push_back(Touch(key, round));
  return records;
}

TEST_F(CheckpointBytesTest, OnePercentOfTheKeysCostsThreePercentOfAFullOne) {
  const uint64_t full = BytesOfBatch(Every(1, 0));
  EXPECT_GT(full, kKeys * 8u);
  for (uint64_t round = 1; round <= 3; ++round) {
    const uint64_t increment = BytesOfBatch(Every(100, round));
    EXPECT_GT(increment, kKeys / 100 * 8u) << "the touched keys must be in it";
    EXPECT_LE(increment, full * 3 / 100) << "of " << full;
    std::cout << "full " << full << " bytes, after 1 % " << increment << "\n";
  }
}

TEST_F(CheckpointBytesTest, WithoutAChangeOnlyTheManifestIsWritten) {
  BytesOfBatch(Every(1, 0));
  EXPECT_LT(BytesOfBatch({}), 2000u);
}

}  // namespace
}  // namespace sluice
