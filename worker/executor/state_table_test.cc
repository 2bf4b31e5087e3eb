#include "worker/executor/state_table.h"

#include <gtest/gtest.h>

#include "worker/executor/state_table_rows.h"

namespace sluice {
namespace {

TEST(StateTable, AttemptSeesItsOwnChangesAndLeavesNothingWhenDropped) {
  StateTable table;
  table.OpenAttempt();
  table.Put("a", "1");
  table.Put("b", "2");
  EXPECT_EQ(table.Get("a"), "1");
  table.DropAttempt();
  table.OpenAttempt();
  EXPECT_EQ(table.Get("a"), std::nullopt);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_TRUE(RowsOf(table).empty());
  table.DropAttempt();
}

TEST(StateTable, AKeyKeepsItsPlaceWhileItLives) {
  StateTable table;
  table.OpenAttempt();
  for (const char* key : {"a", "b", "c"}) table.Put(key, "1");
  table.KeepAttempt(1);
  table.OpenAttempt();
  table.Put("b", "2");
  table.Remove("a");
  table.Put("a", "3");
  EXPECT_EQ(RowsOf(table), (Rows{{"b", "2"}, {"c", "1"}, {"a", "3"}}));
  table.KeepAttempt(2);
  table.MergeUpTo(2);
  table.OpenAttempt();
  EXPECT_EQ(RowsOf(table), (Rows{{"b", "2"}, {"c", "1"}, {"a", "3"}}));
  table.DropAttempt();
}

TEST(StateTable, AVisitorMayPutAndRemove) {
  StateTable table;
  table.OpenAttempt();
  for (const char* key : {"a", "b", "c", "d"}) table.Put(key, "1");
  table.KeepAttempt(1);
  table.OpenAttempt();
  std::string visited;
  table.ForEach([&](std::string_view key, std::string_view value) {
    visited += std::string(key) + std::string(value) + " ";
    if (key == "a") {
      table.Remove("a");
      table.Remove("b");
      table.Put("b", "9");  // a new life: not present at the call
      table.Put("c", "2");
      table.Put("new", "1");
    }
  });
  EXPECT_EQ(visited, "a1 c2 d1 ");
  EXPECT_EQ(RowsOf(table), (Rows{{"c", "2"}, {"d", "1"}, {"b", "9"}, {"new", "1"}}));
  table.KeepAttempt(2);
}

TEST(StateTable, OnlyChangesOfTheEncodingCount) {
  StateTable table;
  table.OpenAttempt();
  table.Put("a", "1");
  table.Put("b", "1");
  EXPECT_EQ(table.KeepAttempt(1).entries, 2u);
  table.OpenAttempt();
  table.Put("a", "2");
  table.Put("a", "1");   // back again
  table.Put("x", "1");
  table.Remove("x");     // never seen outside
  table.Remove("gone");
  const LayerDigest none = table.KeepAttempt(2);
  EXPECT_EQ(none.entries, 0u);
  EXPECT_EQ(none.digest, 0u);
}

TEST(StateTable, DigestDoesNotDependOnOrder) {
  auto digest = [](const std::vector<std::string>& keys) {
    StateTable table;
    table.OpenAttempt();
    for (const std::string& key : keys) table.Put(key, key);
    return table.KeepAttempt(1).digest;
  };
  EXPECT_EQ(digest({"a", "b", "c"}), digest({"c", "a", "b"}));
  EXPECT_NE(digest({"a", "b"}), digest({"a", "c"}));
}

TEST(StateTable, ChangesAreForgottenOnlyWhenSealed) {
  StateTable table;
  table.OpenAttempt();
  for (int i = 0; i < 100; ++i) table.Put("key" + std::to_string(i), "some longer value 0");
  table.KeepAttempt(1);
  table.MergeUpTo(1);
  EXPECT_TRUE(Write(table).whole);
  table.ForgetSealed();
  table.OpenAttempt();
  table.Put("key1", "x");
  table.Remove("key2");
  table.KeepAttempt(2);
  table.MergeUpTo(2);
  EXPECT_EQ(Write(table).rows.size(), 2u);
  table.RestorePending();
  table.OpenAttempt();
  table.Put("key3", "x");
  table.KeepAttempt(3);
  table.MergeUpTo(3);
  EXPECT_EQ(Write(table).rows.size(), 3u);
  table.ForgetSealed();
  StateSnapshot info;
  Write(table, &info);
  EXPECT_FALSE(info.written);
}

TEST(StateTable, RewritesWholeWhenIncrementsOutgrowTheBase) {
  StateTable table;
  int whole = 0;
  for (int batch = 1; batch <= 12; ++batch) {
    table.OpenAttempt();
    for (int i = 0; i < 100; ++i) {
      if (batch == 1 || i < 40) table.Put("key" + std::to_string(i), std::to_string(batch));
    }
    table.KeepAttempt(batch);
    table.MergeUpTo(batch);
    whole += Write(table).whole;
    table.ForgetSealed();
  }
  EXPECT_GE(whole, 3);
  EXPECT_LE(whole, 5);
}

// A chain was rewritten when it had sixteen parts, however small: seven bytes for a changed one.
TEST(StateTable, SmallIncrementsOfALargeStateAreNotRewrittenAllTheTime) {
  constexpr int kKeys = 50'000, kChanged = kKeys / 100;
  StateTable table;
  uint64_t changed = 0, written = 0;
  for (int batch = 0; batch <= 100; ++batch) {
    table.OpenAttempt();
    const int count = batch == 0 ? kKeys : kChanged;
    for (int i = 0; i < count; ++i) {
      table.Put("key" + std::to_string((batch * kChanged + i) % kKeys),
                std::string(80, static_cast<char>('a' + batch % 26)));
    }
    table.KeepAttempt(batch + 1);
    table.MergeUpTo(batch + 1);
    const size_t rows = Write(table).rows.size();
    table.ForgetSealed();
    if (batch == 0) continue;
    changed += static_cast<uint64_t>(count);
    written += rows;
  }
  EXPECT_LE(written, 2 * changed);
}

TEST(StateTable, ARemovalBelowANewUndecidedLifeIsWritten) {
  StateTable table;
  table.OpenAttempt();
  for (const char* key : {"a", "b", "c", "d", "e"}) table.Put(key, "1");
  table.KeepAttempt(1);
  table.MergeUpTo(1);
  Write(table);
  table.ForgetSealed();
  table.OpenAttempt();
  table.Remove("a");
  table.KeepAttempt(2);
  table.OpenAttempt();
  table.Put("a", "2");
  table.Remove("a");
  table.Put("a", "3");
  table.KeepAttempt(3);
  table.MergeUpTo(2);
  const Part part = Write(table);
  ASSERT_EQ(part.rows.size(), 1u);
  EXPECT_EQ(part.rows[0].key, "a");
  EXPECT_TRUE(part.rows[0].removed);
}

// ---- due times ------------------------------------------------------------------------------

TEST(StateTable, WhatIsDueComesByTimeThenByInsertion) {
  StateTable table;
  table.OpenAttempt();
  table.PutTimed("late", "1", 30);
  table.PutTimed("b", "2", 20);
  table.Put("never", "3");
  table.PutTimed("a", "4", 20);
  table.PutTimed("early", "5", 10);
  EXPECT_EQ(DueOf(table, 10), Rows{});  // not before its time has passed
  EXPECT_EQ(DueOf(table, 25), (Rows{{"early", "5"}, {"b", "2"}, {"a", "4"}}));
  table.PutTimed("b", "2", 40);   // put off
  table.Put("early", "5");        // never
  table.PutTimed("late", "1", 5); // sooner
  EXPECT_EQ(DueOf(table, 35), (Rows{{"late", "1"}, {"a", "4"}}));
  table.KeepAttempt(1);
}

TEST(StateTable, AVisitorOfWhatIsDueMayRemoveAndPutOff) {
  StateTable table;
  table.OpenAttempt();
  for (const char* key : {"a", "b", "c", "d"}) table.PutTimed(key, "1", 10);
  std::string visited;
  table.ForEachDue(11, [&](std::string_view key, std::string_view) {
    visited += key;
    if (key != "a") return;
    table.Remove("a");
    table.Remove("b");
    table.PutTimed("c", "1", 11);
    table.PutTimed("new", "1", 9);  // not present at the call
  });
  EXPECT_EQ(visited, "ad");
  EXPECT_EQ(DueOf(table, 11), (Rows{{"new", "1"}, {"d", "1"}}));
  table.KeepAttempt(1);
}

// The file is emptied by the scan of an attempt that is then dropped.
TEST(StateTable, WhatWasDueIsDueAgainWhenItsAttemptWasDropped) {
  StateTable table;
  table.OpenAttempt();
  table.PutTimed("a", "1", 10);
  table.KeepAttempt(1);
  table.OpenAttempt();
  table.PutTimed("a", "1", 90);
  EXPECT_EQ(DueOf(table, 50), Rows{});
  table.DropAttempt();
  EXPECT_EQ(DueOf(table, 50), (Rows{{"a", "1"}}));
  table.OpenAttempt();
  table.Remove("a");
  EXPECT_EQ(DueOf(table, 50), Rows{});
  table.KeepAttempt(2);
  table.DropAbove(1);
  EXPECT_EQ(DueOf(table, 50), (Rows{{"a", "1"}}));
}

// ---- against a naive model ------------------------------------------------------------------

TEST(StateTable, CompactsWhatWasRemoved) {
  StateTable table;
  for (int batch = 1; batch <= 40; ++batch) {
    table.OpenAttempt();
    for (int i = 0; i < 500; ++i) {
      table.PutTimed(std::to_string(batch * 1000 + i), "v", 100 + i % 2);
    }
    if (batch == 1) table.PutTimed("stays", "v", 50);
    if (batch > 1) {
      for (int i = 0; i < 500; ++i) table.Remove(std::to_string((batch - 1) * 1000 + i));
    }
    table.KeepAttempt(batch);
    table.MergeUpTo(batch - 1);
    Write(table);
    table.ForgetSealed();
  }
  table.OpenAttempt();
  const Rows rows = RowsOf(table);
  ASSERT_EQ(rows.size(), 501u);
  EXPECT_EQ(rows[0].first, "stays");
  EXPECT_EQ(rows[1].first, "40000");
  EXPECT_EQ(rows.back().first, "40499");
  const Rows due = DueOf(table, 101);
  ASSERT_EQ(due.size(), 251u);
  EXPECT_EQ(due.front().first, "stays");
  EXPECT_EQ(due.back().first, "40498");
  table.DropAttempt();
}

}  // namespace
}  // namespace sluice
