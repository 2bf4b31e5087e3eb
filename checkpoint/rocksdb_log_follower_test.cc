// A follower beside the driver that writes the log.
#include "checkpoint/rocksdb_log_follower.h"

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/driver_log.h"
#include "checkpoint/errors.h"
#include "checkpoint/rocksdb_log_store.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Payloads = std::vector<std::string>;

class RocksDbLogFollowerTest : public testing::Test {
 protected:
  RocksDbLogFollowerTest() : root_(testing::TempDir() + "follow_" + std::to_string(::getpid())) {
    fs::remove_all(root_);
    follower_ = std::make_unique<RocksDbLogFollower>(root_ + "/job", root_ + "/scratch");
  }
  ~RocksDbLogFollowerTest() override {
    EndDriver();
    fs::remove_all(root_);
  }

  void StartDriver() {
    auto store = OpenRocksDbLogStore(root_ + "/job");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    auto log = DriverLog::Open(store_.get(), [] { return 0; }, {.nonce = ++nonce_});
    ASSERT_TRUE(log.ok()) << log.status();
    log_ = *std::move(log);
  }
  void EndDriver() {
    log_.reset();
    store_.reset();
  }
  void Append(const std::string& payload) { ASSERT_TRUE(log_->Append({payload}).ok()); }

  // The live payloads that are new; "epoch N" for an opened epoch.
  Payloads News() {
    auto records = follower_->CatchUp();
    while (!records.ok() && absl::IsUnavailable(records.status())) records = follower_->CatchUp();
    EXPECT_TRUE(records.ok()) << records.status();
    Payloads news;
    if (!records.ok()) return news;
    for (const FollowedRecord& followed : *records) {
      if (followed.record.kind == LogRecordKind::kEpochOpened) {
        news.push_back("epoch " + std::to_string(followed.record.epoch));
      }
      if (!followed.live) news.push_back("void");
      news.insert(news.end(), followed.record.entries.begin(), followed.record.entries.end());
    }
    return news;
  }

  std::string root_;
  uint64_t nonce_ = 0;
  std::unique_ptr<LogStore> store_;
  std::unique_ptr<DriverLog> log_;
  std::unique_ptr<RocksDbLogFollower> follower_;
};

TEST_F(RocksDbLogFollowerTest, SeesWhatALiveDriverAppends) {
  StartDriver();
  Append("a");
  EXPECT_EQ(News(), (Payloads{"epoch 1", "a"}));
  EXPECT_EQ(News(), Payloads());
  Append("b");
  Append("c");
  EXPECT_EQ(News(), (Payloads{"b", "c"}));
}

TEST_F(RocksDbLogFollowerTest, GoesOnWithTheNextDriver) {
  StartDriver();
  Append("a");
  EXPECT_EQ(News(), (Payloads{"epoch 1", "a"}));
  Append("b");
  for (uint64_t epoch = 2; epoch < 5; ++epoch) {
    EndDriver();
    StartDriver();
    Append("c");
    const Payloads news = News();
    ASSERT_GE(news.size(), 2u);
    EXPECT_EQ(Payloads(news.end() - 2, news.end()),
              (Payloads{"epoch " + std::to_string(epoch), "c"}));
    EXPECT_EQ(news.size(), epoch == 2 ? 3u : 2u);
  }
}

TEST_F(RocksDbLogFollowerTest, ALogWhoseBeginningIsCollectedIsRefused) {
  StartDriver();
  Append("a");
  Append("b");
  ASSERT_TRUE(log_->DeleteBelow(2).ok());
  auto records = follower_->CatchUp();
  EXPECT_FALSE(records.ok());
  EXPECT_TRUE(IsDamaged(records.status())) << records.status();
}

}  // namespace
}  // namespace sluice
