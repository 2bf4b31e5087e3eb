// The driver log on real files: what comes back after kills, cuts, flips and losses.
#include "checkpoint/rocksdb_log_store.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "checkpoint/driver_log.h"
#include "checkpoint/errors.h"
#include "checkpoint/lossy_disk.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Payloads = std::vector<std::string>;

class RocksDbLogStoreTest : public testing::Test {
 protected:
  RocksDbLogStoreTest() : root_(testing::TempDir() + "log_" + std::to_string(::getpid())) {
    fs::remove_all(root_);
  }
  ~RocksDbLogStoreTest() override { fs::remove_all(root_); }

  // What a new driver finds, or why it does not start.
  absl::StatusOr<Payloads> Replay(const RocksDbLogOptions& options = {}) {
    auto store = OpenRocksDbLogStore(dir(), options);
    if (!store.ok()) return store.status();
    auto log = DriverLog::Open(store->get(), [] { return 0; }, {.nonce = 77});
    if (!log.ok()) return log.status();
    Payloads payloads;
    for (ReplayedEntry& entry : (*log)->TakeReplayed()) payloads.push_back(entry.payload);
    return payloads;
  }
  void Write(const Payloads& payloads, const RocksDbLogOptions& options = {}) {
    auto store = OpenRocksDbLogStore(dir(), options);
    ASSERT_TRUE(store.ok()) << store.status();
    auto log = DriverLog::Open(store->get(), [] { return 0; }, {.nonce = 5});
    ASSERT_TRUE(log.ok()) << log.status();
    for (const std::string& payload : payloads) ASSERT_TRUE((*log)->Append({payload}).ok());
  }
  // The file in dir/log whose name ends so; the largest when there are several.
  fs::path FileOf(const std::string& suffix) {
    fs::path found;
    for (const auto& entry : fs::directory_iterator(dir() + "/log")) {
      const std::string name = entry.path().filename();
      if (!name.ends_with(suffix) || (suffix == ".log" && entry.file_size() == 0)) continue;
      if (found.empty() || entry.file_size() > fs::file_size(found)) found = entry.path();
    }
    return found;
  }
  void Save() { fs::copy(dir(), root_ + "/saved", fs::copy_options::recursive); }
  void Restore() {
    fs::remove_all(dir());
    fs::copy(root_ + "/saved", dir(), fs::copy_options::recursive);
  }
  std::string dir() const { return root_ + "/job"; }

  std::string root_;
};

void Flip(const fs::path& path, size_t byte) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(byte));
  const char value = static_cast<char>(file.get() ^ 0x10);
  file.seekp(static_cast<std::streamoff>(byte));
  file.put(value);
}

TEST_F(RocksDbLogStoreTest, WhatWasAppendedIsFoundByTheNextProcess) {
  Write({"a", "b"});
  Write({"c"});
  const auto payloads = Replay();
  ASSERT_TRUE(payloads.ok()) << payloads.status();
  EXPECT_EQ(*payloads, (Payloads{"a", "b", "c"}));
}

TEST_F(RocksDbLogStoreTest, ALiveHolderIsNamed) {
  auto holder = OpenRocksDbLogStore(dir());
  ASSERT_TRUE(holder.ok()) << holder.status();
  const absl::Status refused = OpenRocksDbLogStore(dir()).status();
  EXPECT_TRUE(IsHeld(refused)) << refused;
  EXPECT_EQ(ExitCodeOf(refused), kExitFenced);
  EXPECT_NE(refused.message().find("pid " + std::to_string(::getpid())), std::string::npos);
  holder->reset();
  EXPECT_TRUE(OpenRocksDbLogStore(dir()).ok());
}

TEST_F(RocksDbLogStoreTest, CollectedSlotsStayCollected) {
  Write({"a", "b", "c"});  // slots 2, 3, 4
  auto store = OpenRocksDbLogStore(dir());
  ASSERT_TRUE(store.ok());
  ASSERT_TRUE((*store)->DeleteUpTo(3).ok());
  EXPECT_TRUE(absl::IsNotFound((*store)->Get(3).status()));
  auto log = DriverLog::Open(store->get(), [] { return 0; }, {.nonce = 9, .first_slot = 4});
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ((*log)->TakeReplayed().size(), 1u);
  EXPECT_EQ((*log)->epoch(), 2u);
}

TEST_F(RocksDbLogStoreTest, AWalCutAnywhereIsDamageBecauseAllOfItWasSynced) {
  Write({"one", "two", "three", "four"});
  Save();
  const size_t size = fs::file_size(FileOf(".log"));
  for (size_t bytes = 0; bytes < size; bytes += 17) {
    Restore();
    fs::resize_file(FileOf(".log"), bytes);
    const auto payloads = Replay();
    ASSERT_TRUE(IsDamaged(payloads.status())) << "cut to " << bytes << ": " << payloads.status();
    ASSERT_NE(payloads.status().message().find(dir()), std::string::npos);
  }
}

TEST_F(RocksDbLogStoreTest, AFlippedBitAnywhereInTheWalIsDamage) {
  Write({"one", "two", "three", "four"});
  Save();
  const size_t size = fs::file_size(FileOf(".log"));
  for (size_t byte = 0; byte < size; byte += 11) {
    Restore();
    Flip(FileOf(".log"), byte);
    const auto payloads = Replay();
    ASSERT_TRUE(IsDamaged(payloads.status())) << "byte " << byte << ": " << payloads.status();
    ASSERT_NE(payloads.status().message().find(dir() + "/log"), std::string::npos);
  }
}

TEST_F(RocksDbLogStoreTest, DamageInTheWalIsSaidWithFileAndOffset) {
  Write({"one", "two"});
  const fs::path wal = FileOf(".log");
  Flip(wal, 9);  // in the first record
  const auto payloads = Replay();
  EXPECT_NE(payloads.status().message().find(wal.string() + ", offset 0"), std::string::npos)
      << payloads.status();
}

TEST_F(RocksDbLogStoreTest, AMissingFileIsDamageAndNeverAFreshStart) {
  Write({"one", "two"});
  Write({"three"});  // the first two are in an SST file now
  Save();
  for (const char* suffix : {".log", ".sst", "CURRENT"}) {
    Restore();
    ASSERT_FALSE(FileOf(suffix).empty()) << suffix;
    fs::remove(FileOf(suffix));
    EXPECT_TRUE(IsDamaged(Replay().status())) << suffix << ": " << Replay().status();
  }
  Restore();
  for (const auto& entry : fs::directory_iterator(dir() + "/log")) {
    if (entry.path().filename().string().starts_with("MANIFEST")) fs::remove(entry.path());
  }
  EXPECT_TRUE(IsDamaged(Replay().status())) << Replay().status();
  Restore();
  fs::remove_all(dir() + "/log");
  EXPECT_TRUE(IsDamaged(Replay().status())) << Replay().status();
  Restore();
  fs::remove(dir() + "/log.witness");
  EXPECT_TRUE(IsDamaged(Replay().status())) << Replay().status();
  Restore();
  fs::resize_file(dir() + "/log.witness", 3);
  EXPECT_TRUE(IsDamaged(Replay().status())) << Replay().status();
}

TEST_F(RocksDbLogStoreTest, AFlippedBitInAnSstFileIsDamage) {
  Write({"one", "two"});
  Write({"three"});
  Save();
  const size_t size = fs::file_size(FileOf(".sst"));
  int damaged = 0;
  for (size_t byte = 0; byte < size; byte += 23) {
    Restore();
    Flip(FileOf(".sst"), byte);
    const auto payloads = Replay();
    if (payloads.ok()) {
      ASSERT_EQ(*payloads, (Payloads{"one", "two", "three"})) << byte;  // padding, statistics
    } else {
      ASSERT_TRUE(IsDamaged(payloads.status())) << byte << ": " << payloads.status();
      ++damaged;
    }
  }
  EXPECT_GT(damaged, 5);
}

TEST_F(RocksDbLogStoreTest, OneSpoiledCopyOfTheWitnessIsNoLoss) {
  for (size_t copy_offset : {size_t{5}, size_t{4096 + 5}}) {
    fs::remove_all(root_);
    Write({"one", "two"});
    Flip(dir() + "/log.witness", copy_offset);
    const auto payloads = Replay();
    ASSERT_TRUE(payloads.ok()) << payloads.status();
    EXPECT_EQ(*payloads, (Payloads{"one", "two"}));
  }
}

TEST_F(RocksDbLogStoreTest, ADiskThatForgetsUnsyncedWritesForgetsNoAppend) {
  Payloads expected;
  for (int kill = 0; kill < 12; ++kill) {
    LossyFileOps files;
    LossyRocksDbEnv lossy;
    auto store = OpenRocksDbLogStore(dir(), {.files = &files, .env = lossy.env()});
    ASSERT_TRUE(store.ok()) << store.status();
    auto log = DriverLog::Open(store->get(), [] { return 0; }, {.nonce = uint64_t(kill) + 1});
    ASSERT_TRUE(log.ok()) << "after " << kill << " kills: " << log.status();
    Payloads found;
    for (ReplayedEntry& entry : (*log)->TakeReplayed()) found.push_back(entry.payload);
    ASSERT_EQ(found, expected);
    for (int i = 0; i < kill; ++i) {
      expected.push_back(std::to_string(kill) + "." + std::to_string(i));
      ASSERT_TRUE((*log)->Append({expected.back()}).ok());
    }
    lossy.Kill();
    log->reset();
    store->reset();
    lossy.Forget();
    files.Kill();
  }
}

// A second sync of the file would say that all is well.
TEST_F(RocksDbLogStoreTest, AFailedSyncIsFinalAndNothingThatFailedWasAcknowledged) {
  for (const bool of_witness : {false, true}) {
    fs::remove_all(root_);
    LossyFileOps files;
    LossyRocksDbEnv lossy;
    Payloads acknowledged;
    {
      auto store = OpenRocksDbLogStore(dir(), {.files = &files, .env = lossy.env()});
      ASSERT_TRUE(store.ok()) << store.status();
      auto log = DriverLog::Open(store->get(), [] { return 0; }, {.nonce = 1});
      ASSERT_TRUE(log.ok()) << log.status();
      const auto append = [&](const std::string& payload) {
        const absl::Status status = (*log)->Append({payload}).status();
        if (status.ok()) acknowledged.push_back(payload);
        return status;
      };
      ASSERT_TRUE(append("a").ok());
      if (of_witness) {
        ASSERT_TRUE(append("b").ok());  // the witness of the one before is written
        files.FailNextSync();           // that of this one, or of the next, is not
      } else {
        lossy.FailNextSync();
      }
      absl::Status failed;
      for (int i = 0; i < 3 && failed.ok(); ++i) failed = append("c" + std::to_string(i));
      EXPECT_TRUE(IsStartAgain(failed)) << failed;
      EXPECT_TRUE((*log)->ended());
      EXPECT_EQ((*log)->Retry().status(), failed);
      EXPECT_EQ((*log)->Append({"d"}).status(), failed);
      EXPECT_TRUE(IsStartAgain((*store)->PutIfAbsent(90, "e")));
      EXPECT_TRUE(IsStartAgain((*store)->DeleteUpTo(1)));
      lossy.Kill();
    }
    lossy.Forget();
    files.Kill();
    auto found = Replay();
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_GE(found->size(), acknowledged.size());
    found->resize(acknowledged.size());
    EXPECT_EQ(*found, acknowledged);
    Write({"after"});  // and the log goes on
    EXPECT_EQ(Replay()->back(), "after");
  }
}

TEST_F(RocksDbLogStoreTest, WithoutSyncThatDiskDoesForget) {
  LossyFileOps files;
  LossyRocksDbEnv lossy;
  {
    auto store =
        OpenRocksDbLogStore(dir(), {.sync = false, .files = &files, .env = lossy.env()});
    ASSERT_TRUE(store.ok()) << store.status();
    auto log = DriverLog::Open(store->get(), [] { return 0; }, {.nonce = 1});
    ASSERT_TRUE(log.ok()) << log.status();
    ASSERT_TRUE((*log)->Append({"forgotten"}).ok());
    lossy.Kill();
  }
  lossy.Forget();
  files.Kill();
  const auto payloads = Replay();
  EXPECT_TRUE(!payloads.ok() || payloads->empty());
}

// Its second write to a file on a full disk would end the process: RocksDB asserts it.
TEST_F(RocksDbLogStoreTest, WhatRocksDbSaysIsNoFileOnTheDiskOfTheLog) {
  ASSERT_TRUE(OpenRocksDbLogStore(dir(), {}).ok());
  EXPECT_FALSE(std::filesystem::exists(dir() + "/log/LOG"));
  EXPECT_TRUE(std::filesystem::exists(dir() + "/log/CURRENT"));
}

// In slots that nobody reads any more, as a merge of files in the background comes upon them.
TEST_F(RocksDbLogStoreTest, DamageThatAnAppendMeetsIsDamage) {
  Write({"one", "two"});
  ASSERT_TRUE((*OpenRocksDbLogStore(dir()))->DeleteUpTo(2).ok());
  Flip(FileOf(".sst"), 3);
  absl::Status failed;
  for (uint64_t start = 1; failed.ok() && start < 20; ++start) {  // each has a file of its own
    auto store = OpenRocksDbLogStore(dir());
    ASSERT_TRUE(store.ok()) << store.status();
    for (uint64_t i = 0; i < 100 && failed.ok(); ++i) {
      failed = (*store)->PutIfAbsent(1000 * start + i, "bytes");
    }
    if (!failed.ok()) {
      EXPECT_EQ((*store)->PutIfAbsent(99'999, "bytes"), failed);
    }
  }
  EXPECT_TRUE(IsDamaged(failed)) << failed;
}

// It left an empty witness behind, and every later start was refused: the driver log was damaged.
TEST_F(RocksDbLogStoreTest, AFirstStartOnAFullDiskMayBeTriedAgain) {
  LossyFileOps files;
  files.SetFull(true);
  const absl::Status full = OpenRocksDbLogStore(dir(), {.files = &files}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  files.SetFull(false);
  EXPECT_TRUE(OpenRocksDbLogStore(dir(), {.files = &files}).ok());
  const auto payloads = Replay();
  EXPECT_TRUE(payloads.ok()) << payloads.status();
}

TEST_F(RocksDbLogStoreTest, AFullDiskKeepsWhatIsAcknowledgedAndSpaceLetsItGoOn) {
  LossyFileOps files;
  LossyRocksDbEnv lossy;
  auto store = OpenRocksDbLogStore(dir(), {.files = &files, .env = lossy.env()});
  ASSERT_TRUE(store.ok()) << store.status();
  auto log = DriverLog::Open(store->get(), [] { return 0; }, {.nonce = 1});
  ASSERT_TRUE(log.ok()) << log.status();
  ASSERT_TRUE((*log)->Append({"before"}).ok());
  lossy.SetFull(true);
  EXPECT_TRUE(absl::IsResourceExhausted((*log)->Append({"during"}).status()));
  const absl::Status still = (*log)->Retry().status();
  EXPECT_TRUE(absl::IsResourceExhausted(still)) << still;
  lossy.SetFull(false);
  const auto position = (*log)->Retry();
  ASSERT_TRUE(position.ok()) << position.status();
  ASSERT_TRUE((*log)->Append({"after"}).ok());
  log->reset();
  store->reset();
  const auto payloads = Replay();
  ASSERT_TRUE(payloads.ok()) << payloads.status();
  EXPECT_EQ(*payloads, (Payloads{"before", "during", "after"}));
}

}  // namespace
}  // namespace sluice
