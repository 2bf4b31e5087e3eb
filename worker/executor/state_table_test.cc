#include "worker/executor/state_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace sluice {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

Rows RowsOf(StateTable& table) {
  Rows rows;
  table.ForEach([&](std::string_view k, std::string_view v) { rows.emplace_back(k, v); });
  return rows;
}

Rows DueOf(StateTable& table, int64_t before_ms) {
  Rows rows;
  table.ForEachDue(before_ms,
                   [&](std::string_view k, std::string_view v) { rows.emplace_back(k, v); });
  return rows;
}

// What a checkpoint wrote, as an object would hold it.
struct Part {
  struct Row {
    std::string key, value;
    uint64_t number;
    int64_t timer_ms;
    bool removed;
  };
  bool whole = false;
  std::vector<Row> rows;
};

Part Write(StateTable& table, StateSnapshot* info = nullptr) {
  Part part;
  const StateSnapshot snapshot = table.Snapshot([&](const StateRow& e) {
    part.rows.push_back(
        {std::string(e.key), std::string(e.value), e.number, e.timer_ms, e.removed});
  });
  part.whole = snapshot.whole;
  EXPECT_EQ(snapshot.entries, part.rows.size());
  std::map<std::string, int> seen;
  for (const auto& row : part.rows) EXPECT_EQ(++seen[row.key], 1) << row.key;
  if (info != nullptr) *info = snapshot;
  return part;
}

void Restore(StateTable& table, const std::vector<Part>& chain) {
  for (const Part& part : chain) {
    for (const auto& row : part.rows) {
      table.RestoreEntry({row.key, row.value, row.number, row.timer_ms, row.removed});
    }
  }
  table.FinishRestore(static_cast<uint32_t>(chain.size()));
}

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

// A list of rows in insertion order, copied for every batch.
struct Model {
  Rows rows;
  std::map<std::string, int64_t> due;  // of some of the keys
  void Put(const std::string& key, const std::string& value, int64_t due_ms) {
    due.erase(key);
    if (due_ms != 0) due[key] = due_ms;
    for (auto& row : rows) {
      if (row.first == key) {
        row.second = value;
        return;
      }
    }
    rows.emplace_back(key, value);
  }
  Rows DueBefore(int64_t before_ms) const {
    std::multimap<int64_t, std::pair<std::string, std::string>> sorted;  // equal times keep order
    for (const auto& row : rows) {
      const auto it = due.find(row.first);
      if (it != due.end() && it->second < before_ms) sorted.emplace(it->second, row);
    }
    Rows all;
    for (const auto& [due_ms, row] : sorted) all.push_back(row);
    return all;
  }
  void Remove(const std::string& key) {
    std::erase_if(rows, [&](const auto& row) { return row.first == key; });
    due.erase(key);
  }
};

class RandomRun {
 public:
  explicit RandomRun(uint32_t seed) : random_(seed), table_(std::make_unique<StateTable>()) {}

  void Step() {
    const uint32_t choice = random_() % 20;
    if (choice < 10) {
      Batch();
    } else if (choice < 14) {
      Merge();
    } else if (choice == 14) {
      DropTop();
    } else if (choice < 18) {
      Checkpoint();
    } else if (choice == 18) {
      RestoreFromSealed();
    }
    Compare();
  }

 private:
  std::string Key() {
    return "k" + std::string(random_() % 3 * 9, '-') + std::to_string(random_() % 40);
  }
  std::string Value() { return std::string(random_() % 30, 'v') + std::to_string(random_() % 5); }

  void Change(Model& model) {
    const std::string key = Key();
    if (random_() % 3 == 0) {
      table_->Remove(key);
      model.Remove(key);
    } else {
      const std::string value = Value();
      const int64_t due_ms = random_() % 3 == 0 ? 0 : 1 + random_() % 50;
      table_->PutTimed(key, value, due_ms);
      model.Put(key, value, due_ms);
    }
  }
  void Batch() {
    Model model = states_.back();
    const uint32_t changes = random_() % 30;
    for (int failed = random_() % 2; failed >= 0; --failed) {
      model = states_.back();
      table_->OpenAttempt();
      for (uint32_t i = 0; i < changes; ++i) Change(model);
      EXPECT_EQ(RowsOf(*table_), model.rows);
      CompareDue(model);
      EXPECT_EQ(table_->size(), model.rows.size());
      if (failed > 0) table_->DropAttempt();
    }
    table_->KeepAttempt(Top() + 1);
    states_.push_back(model);
  }
  int64_t Top() const { return first_ + static_cast<int64_t>(states_.size()) - 1; }
  void Merge() {
    const int64_t up_to = first_ + random_() % states_.size();
    table_->MergeUpTo(up_to);
    states_.erase(states_.begin(), states_.begin() + (up_to - first_));
    first_ = up_to;
  }
  void DropTop() {
    const int64_t above = first_ + random_() % states_.size();
    table_->DropAbove(above);
    states_.resize(above - first_ + 1);
  }
  void Checkpoint() {
    StateSnapshot info;
    Part part = Write(*table_, &info);
    const Model at_snapshot = states_.front();
    if (random_() % 2 == 0) Batch();
    if (random_() % 2 == 0) Merge();
    if (random_() % 3 == 0) {
      table_->RestorePending();
      return;
    }
    table_->ForgetSealed();
    if (!info.written) return;
    if (info.whole) chain_.clear();
    chain_.push_back(std::move(part));
    sealed_ = at_snapshot;
    StateTable copy;
    Restore(copy, chain_);
    EXPECT_EQ(RowsOf(copy), sealed_.rows);
  }
  void RestoreFromSealed() {
    table_ = std::make_unique<StateTable>();
    Restore(*table_, chain_);
    first_ = Top() + 1;
    states_ = {chain_.empty() ? Model{} : sealed_};
  }
  void Compare() {
    EXPECT_EQ(RowsOf(*table_), states_.back().rows);
    CompareDue(states_.back());
  }
  void CompareDue(const Model& model) {
    const int64_t before_ms = random_() % 60;
    EXPECT_EQ(DueOf(*table_, before_ms), model.DueBefore(before_ms)) << before_ms;
  }

  std::mt19937 random_;
  std::unique_ptr<StateTable> table_;
  std::vector<Model> states_{Model{}};  // after the merged batch and each undecided one
  int64_t first_ = 0;
  std::vector<Part> chain_;
  Model sealed_;
};

TEST(StateTable, AgreesWithANaiveModel) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    RandomRun run(seed);
    for (int step = 0; step < 150; ++step) run.Step();
    if (testing::Test::HasFailure()) return;
  }
}

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
