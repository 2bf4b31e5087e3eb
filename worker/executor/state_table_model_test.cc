// State tables, in memory and on disk, against a naive model: random batches, failed attempts,
// merges, drops, checkpoints sealed and abandoned, restores by either.
#include <algorithm>
#include <memory>
#include <optional>
#include <random>

#include "checkpoint/rocksdb_sorted_db.h"
#include "common/key_hash.h"
#include "worker/executor/disk_table.h"
#include "worker/executor/state_table.h"
#include "worker/executor/state_table_rows.h"

namespace sluice {
namespace {

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
  std::optional<std::string_view> Find(const std::string& key) const {
    for (const auto& row : rows) {
      if (row.first == key) return row.second;
    }
    return std::nullopt;
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

using NewTable = std::function<std::unique_ptr<PartitionState>()>;

// Checkpoints in slices have batches between them; how many slices there are is up to the table.
class RandomRun {
 public:
  RandomRun(uint32_t seed, NewTable new_table, bool slices = true)
      : random_(seed), new_table_(std::move(new_table)), slices_(slices), table_(new_table_()) {}

  // What must not depend on where the state is kept.
  const std::vector<std::string>& told() const { return told_; }

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
      KeyedState::Place place;
      if (random_() % 2 == 0) {
        const std::string_view found = table_->Look(key, KeyHash(key), place);
        EXPECT_EQ(found.data() != nullptr ? std::optional(found) : std::nullopt, model.Find(key))
            << key;
        if (place.value != nullptr) WriteOver(key, place, found.size(), model);
        if (random_() % 2 == 0) Put(key + "x", Value(), KeyedState::Place(), model);
      }
      Put(key, value, place, model);
    }
  }
  void Put(const std::string& key, const std::string& value, const KeyedState::Place& place,
           Model& model) {
    const int64_t due_ms = random_() % 3 == 0 ? 0 : 1 + random_() % 50;
    table_->PutAt(place, key, value, due_ms);
    model.Put(key, value, due_ms);
  }
  // Often with what is below, so that there is no change after all.
  void WriteOver(const std::string& key, const KeyedState::Place& place, size_t size,
                 Model& model) {
    std::string value = Value();
    value.resize(size, 'o');
    std::memcpy(place.value, value.data(), size);
    model.Put(key, value, table_->DueOf(key));
  }
  void ChangeSomeInPassing(Model& model) {
    const uint32_t nth = 1 + random_() % 4;
    table_->ForEach([&](std::string_view key, std::string_view) {
      if (random_() % nth == 0) Put(std::string(key), Value(), table_->Visited(), model);
    });
    EXPECT_FALSE(table_->Visited().known);
  }
  void Batch() {
    Model model = states_.back();
    const uint32_t changes = random_() % 30;
    for (int failed = random_() % 2; failed >= 0; --failed) {
      model = states_.back();
      table_->OpenAttempt();
      for (uint32_t i = 0; i < changes; ++i) Change(model);
      if (random_() % 4 == 0) ChangeSomeInPassing(model);
      for (uint32_t i = 0; i < changes / 4; ++i) Change(model);
      EXPECT_EQ(RowsOf(*table_), model.rows);
      CompareDue(model);
      EXPECT_EQ(table_->size(), model.rows.size());
      if (failed > 0) table_->DropAttempt();
    }
    const LayerDigest digest = table_->KeepAttempt(Top() + 1);
    told_.push_back("digest " + std::to_string(digest.digest) + " of " +
                    std::to_string(digest.entries));
    table_->VisitNewestLayer([&](const StateRow& row) { layer_.push_back(Text(row)); });
    std::sort(layer_.begin(), layer_.end());
    told_.insert(told_.end(), layer_.begin(), layer_.end());
    layer_.clear();
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
    const Model at_snapshot = states_.front();
    Part part = Write(*table_, &info, [&]() -> uint32_t {
      if (!slices_) return UINT32_MAX;
      if (table_->visits_apart() && random_() % 4 == 0) Merge();
      return random_() % 4 == 0 ? (Batch(), 1u + random_() % 9) : 1u + random_() % 99;
    });
    if (random_() % 2 == 0) Batch();
    if (random_() % 2 == 0) Merge();
    if (random_() % 3 == 0) {
      table_->RestorePending();
      return;
    }
    while (!table_->ForgetSome(slices_ ? 1 + random_() % 20 : UINT32_MAX)) {
      if (random_() % 4 == 0) Batch();
      if (random_() % 4 == 0) Merge();
    }
    if (!info.written) return;
    if (info.whole) chain_.clear();
    chain_.push_back(std::move(part));
    sealed_ = at_snapshot;
    StateTable copy;
    Restore(copy, chain_);
    EXPECT_EQ(RowsOf(copy), sealed_.rows);
    TellChain();
  }
  void TellChain() {
    std::map<std::string, Part::Row> entries;
    for (const Part& part : chain_) {
      for (const Part::Row& row : part.rows) {
        row.removed ? (void)entries.erase(row.key) : (void)(entries[row.key] = row);
      }
    }
    for (const auto& [key, row] : entries) {
      told_.push_back("sealed " + Text({key, row.value, row.number, row.timer_ms, false}));
    }
  }
  static std::string Text(const StateRow& row) {
    return std::string(row.key) + "=" + std::string(row.value) + " " +
           std::to_string(row.number) + " " + std::to_string(row.timer_ms) +
           (row.removed ? " removed" : "");
  }
  void RestoreFromSealed() {
    table_ = new_table_();
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
  const NewTable new_table_;
  const bool slices_;
  std::unique_ptr<PartitionState> table_;
  std::vector<std::string> layer_, told_;
  std::vector<Model> states_{Model{}};  // after the merged batch and each undecided one
  int64_t first_ = 0;
  std::vector<Part> chain_;
  Model sealed_;
};

std::unique_ptr<PartitionState> InMemory() { return std::make_unique<StateTable>(); }

// Tables of one database, each with its own number; some of them keep nothing of the base.
struct OnDisk {
  OnDisk() : db(std::move(OpenRocksDbSorted({}).value())) {}
  std::unique_ptr<PartitionState> operator()() {
    ++tables;
    return std::make_unique<DiskTable>(db.get(), tables, tables % 3 * 2000);
  }
  std::unique_ptr<SortedDb> db;
  uint32_t tables = 0;
};

void AgreesWithANaiveModel(const NewTable& new_table, uint32_t seeds) {
  for (uint32_t seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE(seed);
    RandomRun run(seed, new_table);
    for (int step = 0; step < 150; ++step) run.Step();
    if (testing::Test::HasFailure()) return;
  }
}

TEST(StateTable, AgreesWithANaiveModel) { AgreesWithANaiveModel(InMemory, 60); }

// Serials of layers that begin again every few batches.
TEST(StateTable, AgreesWithANaiveModelWhenItNumbersLayersAnew) {
  AgreesWithANaiveModel([] { return std::make_unique<StateTable>(7); }, 20);
}

TEST(DiskTable, AgreesWithANaiveModel) {
  OnDisk on_disk;
  AgreesWithANaiveModel([&] { return on_disk(); }, 30);
}

// A chain that one wrote, too, is gone on with by the other.
TEST(DiskTable, AgreesWhereTheBackendChangesAtEachRestore) {
  OnDisk on_disk;
  uint32_t made = 0;
  AgreesWithANaiveModel([&] { return ++made % 2 == 0 ? InMemory() : on_disk(); }, 30);
}

TEST(DiskTable, SaysAndSealsWhatATableInMemoryDoes) {
  OnDisk on_disk;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    RandomRun in_memory(seed, InMemory, false);
    RandomRun stored(seed, [&] { return on_disk(); }, false);
    for (int step = 0; step < 150; ++step) {
      in_memory.Step();
      stored.Step();
    }
    ASSERT_EQ(in_memory.told(), stored.told());
    ASSERT_GT(stored.told().size(), 100u);
  }
}

}  // namespace
}  // namespace sluice
