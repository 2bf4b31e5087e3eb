#include "checkpoint/witness_keeper.h"

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "checkpoint/lossy_disk.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

class WitnessKeeperTest : public testing::Test {
 protected:
  WitnessKeeperTest() : path_(testing::TempDir() + "witness_" + std::to_string(::getpid())) {
    std::filesystem::remove(path_);
  }
  ~WitnessKeeperTest() override { std::filesystem::remove(path_); }

  std::optional<uint64_t> OnDisk() {
    LengthWitness witness(&files_, path_);
    EXPECT_TRUE(witness.Load().ok());
    return witness.length();
  }
  std::unique_ptr<WitnessKeeper> Start() {
    LengthWitness witness(&files_, path_);
    EXPECT_TRUE(witness.Load().ok());
    auto keeper = std::make_unique<WitnessKeeper>(std::move(witness), /*sync=*/true);
    keeper->Start();
    return keeper;
  }

  LossyFileOps files_;
  std::string path_;
};

TEST_F(WitnessKeeperTest, WhatIsNotedIsDurableAtTheEnd) {
  auto keeper = Start();
  EXPECT_FALSE(keeper->length().has_value());
  for (uint64_t length = 1; length <= 50; ++length) {
    ASSERT_TRUE(keeper->Note(length).ok());
    ASSERT_EQ(keeper->length(), length);
  }
  keeper.reset();
  files_.Kill();
  EXPECT_EQ(OnDisk(), 50u);
  EXPECT_EQ(Start()->length(), 50u);
}

TEST_F(WitnessKeeperTest, OneNotedIsDurableWhenTheNextNoteReturns) {
  auto keeper = Start();
  for (uint64_t length = 1; length <= 20; ++length) {
    ASSERT_TRUE(keeper->Note(length).ok());
    ASSERT_GE(OnDisk().value_or(0) + 1, length);
  }
}

TEST_F(WitnessKeeperTest, AFailedSyncIsNeverTriedAgain) {
  auto keeper = Start();
  ASSERT_TRUE(keeper->Note(1).ok());
  ASSERT_TRUE(keeper->Note(1).ok());
  ASSERT_TRUE(keeper->Note(1).ok());
  files_.FailNextSync();
  ASSERT_TRUE(keeper->Note(2).ok());
  EXPECT_TRUE(absl::IsUnavailable(keeper->Note(3)));
  EXPECT_TRUE(absl::IsUnavailable(keeper->Note(3)));
  keeper.reset();
  files_.Kill();
  EXPECT_EQ(OnDisk(), 1u);
}

TEST_F(WitnessKeeperTest, AFullDiskIsToldByTheNextNoteAndTriedAgain) {
  auto keeper = Start();
  ASSERT_TRUE(keeper->Note(1).ok());
  ASSERT_TRUE(keeper->Note(1).ok());  // the first is durable
  ASSERT_TRUE(keeper->Note(1).ok());  // and nothing is being written
  files_.SetFull(true);
  ASSERT_TRUE(keeper->Note(2).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(keeper->Note(3)));
  EXPECT_TRUE(absl::IsResourceExhausted(keeper->Note(3)));
  files_.SetFull(false);
  EXPECT_TRUE(keeper->Note(3).ok());
  keeper.reset();
  EXPECT_EQ(OnDisk(), 3u);
}

}  // namespace
}  // namespace sluice
