#include "worker/executor/state_delta.h"

#include <gtest/gtest.h>

#include <random>

#include "common/encoded_batch.h"
#include "common/record_batch.h"
#include "worker/executor/state_table_rows.h"

namespace sluice {
namespace {

// The newest layer of a table, as the piece that carries it.
std::string DeltaOf(const StateTable& table) {
  std::string piece = DeltaHead("totals", 7);
  table.VisitNewestLayer([&](const StateRow& row) { AppendDelta(row, piece); });
  return piece;
}

std::string BlockOf(const std::vector<std::string>& pieces) {
  RecordBatch batch;
  for (const std::string& piece : pieces) batch.Append(piece);
  std::string block;
  EncodeBatch(batch.view(), block);
  return block;
}

void Apply(const std::string& block, StateTable& table) {
  ASSERT_TRUE(ReadDelta(block, [&](DeltaPiece piece) {
                EXPECT_EQ(piece.operator_name, "totals");
                EXPECT_EQ(piece.partition, 7u);
                EXPECT_TRUE(ReadEntries(piece.entries, [&](const StateRow& row) {
                              table.RestoreChange(row);
                            }).ok());
              }).ok());
}

TEST(StateDelta, CarriesValuesTimersNumbersAndRemovals) {
  StateTable table;
  table.OpenAttempt();
  table.PutTimed("a", "1", 500);
  table.Put("b", "");
  table.Put("c", "3");
  table.KeepAttempt(1);
  const std::string first = BlockOf({DeltaOf(table)});
  table.OpenAttempt();
  table.Remove("b");
  table.Put("c", "4");
  table.Remove("a");
  table.Put("a", "5");  // another life, behind the others
  table.KeepAttempt(2);
  const std::string second = BlockOf({DeltaOf(table)});
  StateTable restored;
  Apply(first, restored);
  Apply(second, restored);
  restored.FinishRestore(0);
  EXPECT_EQ(RowsOf(restored), (Rows{{"c", "4"}, {"a", "5"}}));
  EXPECT_EQ(restored.size(), 2u);
  EXPECT_EQ(restored.DueOf("a"), 0);
}

TEST(StateDelta, AttemptsThatWereDroppedAreNotInIt) {
  StateTable table;
  table.OpenAttempt();
  table.Put("x", "1");
  table.DropAttempt();
  table.OpenAttempt();
  table.Put("a", "1");
  table.Put("a", "2");
  table.KeepAttempt(1);
  int rows = 0;
  table.VisitNewestLayer([&](const StateRow& row) {
    ++rows;
    EXPECT_EQ(row.key, "a");
    EXPECT_EQ(row.value, "2");
  });
  EXPECT_EQ(rows, 1);
}

TEST(StateDelta, WhatIsDamagedIsRefused) {
  StateTable table;
  table.OpenAttempt();
  table.Put("a", "1");
  table.KeepAttempt(1);
  const std::string piece = DeltaOf(table);
  const auto ignore_piece = [](DeltaPiece) {};
  const auto ignore_row = [](const StateRow&) {};
  EXPECT_FALSE(ReadDelta("no block", ignore_piece).ok());
  for (size_t size = 0; size < piece.size(); ++size) {
    const std::string cut = piece.substr(0, size);
    bool ok = true;
    ok &= ReadDelta(BlockOf({cut}), [&](DeltaPiece found) {
            ok &= ReadEntries(found.entries, ignore_row).ok();
          }).ok();
    // Only where the entries end between two of them can a cut not be seen; here: before the one.
    EXPECT_EQ(ok, size == piece.size() - 7) << size;
  }
}

// A table that is restored from a checkpoint and the deltas behind it goes on as one that was never
// lost, and its next checkpoint has what the deltas brought.
TEST(StateDelta, ATableFromACheckpointAndDeltasIsTheOneThatWasLost) {
  std::mt19937 random(7);
  const auto restore = [](StateTable& table, const std::vector<Part>& chain,
                          const std::vector<std::string>& deltas) {
    for (const Part& part : chain) {
      for (const auto& row : part.rows) {
        table.RestoreEntry({row.key, row.value, row.number, row.timer_ms, row.removed});
      }
    }
    for (const std::string& delta : deltas) Apply(delta, table);
    table.FinishRestore(static_cast<uint32_t>(chain.size()));
  };
  for (int round = 0; round < 200; ++round) {
    StateTable table;
    std::vector<Part> chain;
    std::vector<std::string> deltas;  // behind the chain
    const auto checkpoint = [&](StateTable& of) {
      StateSnapshot written;
      Part part = Write(of, &written);
      of.ForgetSealed();
      if (written.whole) chain.clear();
      if (written.written) chain.push_back(std::move(part));
    };
    for (int64_t batch = 1; batch <= 12; ++batch) {
      table.OpenAttempt();
      for (int i = 0; i < 6; ++i) {
        const std::string key = "k" + std::to_string(random() % 9);
        if (random() % 3 == 0) {
          table.Remove(key);
        } else {
          table.PutTimed(key, std::to_string(random() % 4), random() % 2 == 0 ? 0 : 100 + batch);
        }
      }
      table.KeepAttempt(batch);
      deltas.push_back(BlockOf({DeltaOf(table)}));
      table.MergeUpTo(batch);
      if (random() % 4 != 0) continue;
      checkpoint(table);
      deltas.clear();
    }
    StateTable restored;
    restore(restored, chain, deltas);
    EXPECT_EQ(RowsOf(restored), RowsOf(table)) << round;
    EXPECT_EQ(DueOf(restored, 1000), DueOf(table, 1000)) << round;
    EXPECT_EQ(restored.size(), table.size()) << round;
    checkpoint(restored);
    StateTable again;
    restore(again, chain, {});
    EXPECT_EQ(RowsOf(again), RowsOf(table)) << round;
  }
}

}  // namespace
}  // namespace sluice
