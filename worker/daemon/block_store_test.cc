#include "worker/daemon/block_store.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "common/crc32c.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

BlockKey Key(uint64_t number) { return {.job_instance = 7, .incarnation = 1, .number = number}; }

RecordBatch Records(uint64_t seed, int count, size_t bytes) {
  RecordBatch batch;
  for (int i = 0; i < count; ++i) {
    batch.Append(std::to_string(seed * 1000 + i) + std::string(bytes, 'r'));
  }
  return batch;
}

class BlockStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / ("sluice-store-" + std::to_string(::getpid()));
    fs::remove_all(dir_);
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(dir_);
  }
  void OpenWith(uint64_t memory_max, bool shared = true, uint64_t ahead_max = 1 << 20) {
    store_.reset();
    auto store = BlockStore::Open({.memory_max = memory_max, .spill_dir = dir_,
                                   .spill_ahead_max = ahead_max, .shared = shared});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = std::move(*store);
  }
  int SpillFiles() {
    int files = 0;
    for (const auto& file : fs::directory_iterator(dir_)) files += file.is_regular_file() ? 1 : 0;
    return files;
  }
  // How many blocks, numbered from 1, were sealed before one was refused for want of room.
  int SealUntilRefused() {
    int sealed = 0;
    absl::Status refused;
    while (sealed < 100) {
      refused = store_->Seal(Key(sealed + 1), Records(sealed + 1, 200, 1000).view()).status();
      if (!refused.ok()) break;
      store_->AwaitDisk();
      ++sealed;
    }
    EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
    return sealed;
  }
  // Refused for as long as the disk is behind, it is tried again.
  bool Seals(uint64_t number, int count, size_t bytes) {
    while (true) {
      const auto sealed = store_->Seal(Key(number), Records(number, count, bytes).view());
      if (!absl::IsResourceExhausted(sealed.status())) return sealed.ok();
      store_->AwaitDisk();
    }
  }
  void ExpectHolds(uint64_t number, const RecordBatch& batch) {
    auto reading = store_->Read(Key(number));
    ASSERT_TRUE(reading.ok()) << number << ": " << reading.status();
    std::string encoded;
    EncodeBatch(batch.view(), encoded);
    EXPECT_EQ(reading->bytes(), encoded);
    EXPECT_EQ(reading->crc32c(), Crc32c(encoded));
  }
  fs::path dir_;
  std::unique_ptr<BlockStore> store_;
};

TEST_F(BlockStoreTest, CopiesOnceAtTheSealAndNeverForAReader) {
  OpenWith(1 << 20);
  const RecordBatch batch = Records(1, 100, 20);
  auto sealed = store_->Seal(Key(1), batch.view());
  ASSERT_TRUE(sealed.ok());
  EXPECT_EQ(sealed->records, 100u);
  for (int i = 0; i < 10; ++i) ExpectHolds(1, batch);
  MappableBlock block;
  EXPECT_EQ(store_->Pin(Key(1), &block), FdSource::Found::kMapped);
  store_->Unpin(Key(1));
  EXPECT_EQ(store_->counters().seal_copies, 1u);
  EXPECT_EQ(store_->counters().seal_copy_bytes, EncodedBatchSize(batch.view()));
  EXPECT_EQ(store_->counters().read_copies, 0u);
}

TEST_F(BlockStoreTest, WhatIsHandedOverInsideTheProcessIsNeitherCopiedNorSummed) {
  auto store = BlockStore::Open({.memory_max = 1 << 20, .spill_dir = "", .shared = false});
  ASSERT_TRUE(store.ok());
  std::string encoded;
  EncodeBatch(Records(1, 100, 100).view(), encoded);
  const std::string before = encoded;
  const char* const place = encoded.data();
  const auto sealed = (*store)->SealEncoded(Key(1), &encoded);
  ASSERT_TRUE(sealed.ok());
  EXPECT_EQ(sealed->crc32c, 0u);
  const auto reading = (*store)->Read(Key(1));
  ASSERT_TRUE(reading.ok());
  EXPECT_EQ(reading->bytes(), before);
  EXPECT_EQ(reading->bytes().data(), place);
}

TEST_F(BlockStoreTest, SpillsTheOldestBeyondTheBudgetAndLosesNothing) {
  for (bool shared : {true, false}) {
    OpenWith(1 << 20, shared);
    constexpr int kBlocks = 200;  // 100 MiB
    for (int i = 1; i <= kBlocks; ++i) {
      ASSERT_TRUE(Seals(i, 512, 1020)) << i;
      EXPECT_LE(store_->counters().memory_bytes, 3u << 20);  // one block beyond both bounds
    }
    store_->AwaitDisk();
    EXPECT_LE(store_->counters().memory_bytes, 1u << 20);
    EXPECT_EQ(store_->counters().blocks, static_cast<uint64_t>(kBlocks));
    EXPECT_GE(SpillFiles(), kBlocks - 2);
    for (int i = 1; i <= kBlocks; ++i) ExpectHolds(i, Records(i, 512, 1020));
    for (int i = 1; i <= kBlocks; ++i) store_->Drop(Key(i));
    store_->AwaitDisk();
    EXPECT_EQ(SpillFiles(), 0);
    EXPECT_EQ(store_->total_bytes(), 0u);
  }
}

TEST_F(BlockStoreTest, WhatIsReadStaysInMemoryAndOutlivesItsDrop) {
  OpenWith(600'000);
  ASSERT_TRUE(store_->Seal(Key(1), Records(1, 512, 1020).view()).ok());
  auto reading = store_->Read(Key(1));
  ASSERT_TRUE(reading.ok());
  const std::string before(reading->bytes());
  store_->Drop(Key(1));
  EXPECT_FALSE(store_->Contains(Key(1)));
  EXPECT_EQ(reading->bytes(), before);
}

// A new copy of a damaged block was taken for there, and went with the reader of the damaged one.
TEST_F(BlockStoreTest, ABlockThatIsDroppedAndStillReadHasNoPlaceForAnother) {
  OpenWith(600'000);
  std::string copy;
  EncodeBatch(Records(1, 10, 20).view(), copy);
  ASSERT_TRUE(store_->PutCopy(Key(1), copy, Crc32c(copy)).ok());
  {
    const auto reading = store_->Read(Key(1));
    ASSERT_TRUE(reading.ok());
    store_->Drop(Key(1));
    EXPECT_TRUE(absl::IsResourceExhausted(store_->PutCopy(Key(1), copy, Crc32c(copy))));
  }
  EXPECT_TRUE(store_->PutCopy(Key(1), copy, Crc32c(copy)).ok());
  EXPECT_TRUE(store_->Contains(Key(1)));
}

// A task may hold its blocks for as long as it runs, and it may run for ever.
TEST_F(BlockStoreTest, MemoryFullOfBlocksThatAreReadDoesNotStopTheIntake) {
  OpenWith(600'000);
  ASSERT_TRUE(store_->Seal(Key(1), Records(1, 512, 1020).view()).ok());
  auto reading = store_->Read(Key(1));
  ASSERT_TRUE(reading.ok());
  for (int i = 2; i <= 20; ++i) {
    ASSERT_TRUE(Seals(i, 512, 1020)) << i;
    store_->AwaitDisk();
    EXPECT_LT(store_->counters().memory_bytes, 1'200'000u);
  }
  for (int i = 1; i <= 20; ++i) ExpectHolds(i, Records(i, 512, 1020));
}

TEST_F(BlockStoreTest, ADamagedSpillFileIsAnError) {
  OpenWith(1 << 19);
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(Seals(i, 400, 1000));
  store_->AwaitDisk();
  for (const auto& file : fs::directory_iterator(dir_)) {
    std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(1000);
    bytes.put('!');
  }
  EXPECT_TRUE(absl::IsUnavailable(store_->Read(Key(1)).status()));  // it may have been the disk
  EXPECT_TRUE(absl::IsUnavailable(store_->Read(Key(1)).status()));
  EXPECT_TRUE(absl::IsDataLoss(store_->Read(Key(1)).status()));
  EXPECT_TRUE(store_->Read(Key(3)).ok());
}

TEST_F(BlockStoreTest, AnErrorInReadingASpillFileCostsNoCopy) {
  OpenWith(1 << 19);
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(Seals(i, 400, 1000));
  store_->AwaitDisk();
  for (int time = 0; time < 3; ++time) {  // with a good one between them
    for (const auto& file : fs::directory_iterator(dir_)) {
      if (file.path().extension() == ".block") fs::rename(file.path(), file.path().string() + "-");
    }
    EXPECT_TRUE(absl::IsUnavailable(store_->Read(Key(1)).status()));
    EXPECT_TRUE(absl::IsUnavailable(store_->Read(Key(1)).status()));
    for (const auto& file : fs::directory_iterator(dir_)) {
      const std::string name = file.path();
      if (name.ends_with("-")) fs::rename(name, name.substr(0, name.size() - 1));
    }
    ExpectHolds(1, Records(1, 400, 1000));
  }
}

TEST_F(BlockStoreTest, WhatIsDamagedInMemoryIsFoundWhenItIsLookedThrough) {
  for (const bool shared : {true, false}) {
    OpenWith(1 << 20, shared);
    ASSERT_TRUE(Seals(1, 10, 10));
    const auto reading = store_->Read(Key(1));
    EXPECT_TRUE(reading->Check().ok());
    const_cast<char*>(reading->bytes().data())[3] ^= 1;
    EXPECT_TRUE(absl::IsDataLoss(reading->Check()));
  }
}

TEST_F(BlockStoreTest, RemovesWhatAFormerDaemonSpilled) {
  fs::create_directories(dir_);
  std::ofstream(dir_ / "0000000000000001-1-0000000000000001-1.block") << "old";
  std::ofstream(dir_ / "other") << "not ours";
  OpenWith(1 << 20);
  EXPECT_FALSE(fs::exists(dir_ / "0000000000000001-1-0000000000000001-1.block"));
  EXPECT_TRUE(fs::exists(dir_ / "other"));
}

TEST_F(BlockStoreTest, RefusesDamageAndWhatIsNoBatch) {
  OpenWith(1 << 20);
  std::string no_batch = "no batch";
  EXPECT_TRUE(absl::IsDataLoss(store_->PutCopy(Key(1), "bytes", 1)));
  EXPECT_TRUE(absl::IsInvalidArgument(store_->SealEncoded(Key(1), &no_batch).status()));
  const uint32_t ends[] = {5, 3};
  const BatchView lying{"abcdef", 3, ends, 2, 0};
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Seal(Key(1), lying).status()));
  EXPECT_FALSE(store_->Contains(Key(1)));
  EXPECT_EQ(store_->total_bytes(), 0u);
  EXPECT_TRUE(store_->PutCopy(Key(1), "bytes", Crc32c("bytes")).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(store_->PutCopy(Key(1), "bytes", Crc32c("bytes"))));
}

// The first spill file is a pipe that nobody reads: whoever opens it hangs.
TEST_F(BlockStoreTest, ADiskThatHangsStopsTheIntakeWhenMemoryIsFullAndNobodyElse) {
  OpenWith(1 << 20, /*shared=*/true, /*ahead_max=*/2 << 20);
  const std::string pipe =
      dir_ / "0000000000000007-0-0000000000000001-1.block";  // of block 1
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  int sealed = 0;
  absl::Status refused;
  while (sealed < 100 && refused.ok()) {
    refused = store_->Seal(Key(sealed + 1), Records(sealed + 1, 512, 1020).view()).status();
    if (refused.ok()) ++sealed;
  }
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_GE(sealed, 3);
  EXPECT_LE(store_->counters().memory_bytes, 4u << 20);
  for (int i = 1; i <= sealed; ++i) ExpectHolds(i, Records(i, 512, 1020));
  store_->Drop(Key(1));
  store_->Drop(Key(sealed));
  EXPECT_FALSE(store_->Contains(Key(1)));
  std::ifstream reader(pipe, std::ios::binary);  // and it goes on
  std::string bytes((std::istreambuf_iterator<char>(reader)), {});
  EXPECT_TRUE(Seals(1000, 512, 1020));
  ExpectHolds(1000, Records(1000, 512, 1020));
}

// Only a full disk was waited for; a block that met another error was lost.
TEST_F(BlockStoreTest, ADiskThatFailsStopsTheIntakeUntilItWorksAgain) {
  OpenWith(1 << 19);
  fs::remove_all(dir_);
  const int sealed = SealUntilRefused();
  EXPECT_GE(sealed, 2);
  fs::create_directories(dir_);
  for (int i = sealed + 1; i <= 10; ++i) ASSERT_TRUE(Seals(i, 200, 1000)) << i;
  for (int i = 1; i <= 10; ++i) ExpectHolds(i, Records(i, 200, 1000));
}

// On a file system of 1 MiB: full, the seal is refused and everything stays; with space back it
// goes on.
TEST_F(BlockStoreTest, AFullDiskRefusesTheSealAndKeepsTheRest) {
  fs::create_directories(dir_);
  if (::mount("sluice", dir_.c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "cannot mount a small file system here";
  }
  OpenWith(1 << 19);
  const int sealed = SealUntilRefused();
  EXPECT_GT(sealed, 4);
  for (int i = 1; i <= sealed; ++i) ExpectHolds(i, Records(i, 200, 1000));
  store_->Drop(Key(1));  // for the block that was taken before the disk was known to be full,
  store_->Drop(Key(2));  // and for one more
  EXPECT_TRUE(Seals(1000, 200, 1000));
  store_.reset();
  ::umount(dir_.c_str());
}

}  // namespace
}  // namespace sluice
