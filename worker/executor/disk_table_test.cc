#include "worker/executor/disk_table.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "checkpoint/rocksdb_sorted_db.h"
#include "common/key_hash.h"
#include "worker/executor/state_table_rows.h"

namespace sluice {
namespace {

// Passes all on until it is told to fail.
class FailingDb final : public SortedDb {
 public:
  FailingDb() : db_(std::move(OpenRocksDbSorted({}).value())) {}
  absl::Status GetMany(std::span<const std::string_view> keys, const Found& found) override {
    return fails ? Failure() : db_->GetMany(keys, found);
  }
  std::unique_ptr<SortedCursor> Walk(std::string_view prefix, std::string_view from) override {
    return db_->Walk(prefix, from);
  }
  std::unique_ptr<SortedBatch> NewBatch() override { return db_->NewBatch(); }
  absl::Status Apply(SortedBatch& batch) override { return fails ? Failure() : db_->Apply(batch); }
  absl::Status DropPrefix(std::string_view prefix) override { return db_->DropPrefix(prefix); }
  std::unique_ptr<SortedReads> Snapshot() override { return db_->Snapshot(); }

  bool fails = false;

 private:
  static absl::Status Failure() { return absl::ResourceExhaustedError("no space left"); }
  std::unique_ptr<SortedDb> db_;
};

class DiskTableTest : public testing::Test {
 protected:
  void Batch(int64_t batch_ms, const std::vector<std::string>& keys, const std::string& value) {
    table_.OpenAttempt();
    for (const std::string& key : keys) table_.Put(key, value);
    table_.KeepAttempt(batch_ms);
  }
  FailingDb db_;
  DiskTable table_{&db_, 1, 0};
};

TEST_F(DiskTableTest, KeysThatWereFetchedAreNotReadOneByOne) {
  Batch(1, {"a", "b", "c"}, "1");
  table_.MergeUpTo(1);
  table_.OpenAttempt();
  const std::string_view keys[] = {"a", "c", "new", "a"};
  table_.Fetch(keys);
  EXPECT_EQ(table_.Get("a"), "1");
  EXPECT_EQ(table_.Get("c"), "1");
  EXPECT_EQ(table_.Get("new"), std::nullopt);
  table_.Put("new", "2");
  EXPECT_EQ(table_.single_reads(), 0u);
  EXPECT_EQ(table_.Get("b"), "1");
  EXPECT_EQ(table_.single_reads(), 1u);
}

TEST_F(DiskTableTest, WhatAVisitorPutsIsNotReadOnceMore) {
  Batch(1, {"a", "b", "c"}, "1");
  table_.MergeUpTo(1);
  table_.OpenAttempt();
  table_.ForEach([&](std::string_view key, std::string_view) {
    table_.PutAt(table_.Visited(), key, key == "b" ? "1" : "2", 0);
  });
  EXPECT_EQ(table_.single_reads(), 0u);
  EXPECT_EQ(table_.KeepAttempt(2).entries, 2u);
  EXPECT_EQ(RowsOf(table_), (Rows{{"a", "2"}, {"b", "1"}, {"c", "2"}}));
}

TEST_F(DiskTableTest, AMergeThatFailsLosesTheStateAndSaysWhy) {
  Batch(1, {"a"}, "1");
  db_.fails = true;
  table_.MergeUpTo(1);
  EXPECT_EQ(table_.error(), "no space left");
  db_.fails = false;  // too late
  EXPECT_EQ(table_.error(), "no space left");
}

TEST_F(DiskTableTest, AReadThatFailsIsThrownThroughTheOperator) {
  Batch(1, {"a"}, "1");
  table_.MergeUpTo(1);
  table_.OpenAttempt();
  db_.fails = true;
  EXPECT_THROW(table_.Get("a"), StateLost);
  table_.DropAttempt();
  EXPECT_EQ(table_.error(), "no space left");
}

// F35: a database that makes its writers wait at next to nothing loses nothing.
TEST(DiskTable, KeepsAllWhenTheDatabaseStallsItsWriters) {
  const std::string dir = testing::TempDir() + "/stalls";
  {
    auto db = OpenRocksDbSorted({.dir = dir, .memory = 1 << 20, .tiny_triggers = true});
    ASSERT_TRUE(db.ok()) << db.status();
    DiskTable table(db->get(), 1, 0);
    std::map<std::string, std::string> expected;
    for (int batch = 1; batch <= 40; ++batch) {
      table.OpenAttempt();
      for (int i = 0; i < 200; ++i) {
        const std::string key = std::to_string(batch * 37 % 50 * 100 + i);
        const std::string value(1000, static_cast<char>('a' + batch % 26));
        table.Put(key, value);
        expected[key] = value;
      }
      table.KeepAttempt(batch);
      table.MergeUpTo(batch);
    }
    EXPECT_EQ(table.error(), "");
    std::map<std::string, std::string> found;
    for (const auto& [key, value] : RowsOf(table)) found[key] = value;
    EXPECT_TRUE(found == expected);
    EXPECT_TRUE(std::filesystem::exists(dir));
  }
  EXPECT_FALSE(std::filesystem::exists(dir));  // it goes with the database
}

}  // namespace
}  // namespace sluice
