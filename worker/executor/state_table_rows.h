// For tests of states of partitions: their contents, and checkpoints of them, as plain rows.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "worker/executor/partition_state.h"

namespace sluice {

using Rows = std::vector<std::pair<std::string, std::string>>;

inline Rows RowsOf(PartitionState& table) {
  Rows rows;
  table.ForEach([&](std::string_view k, std::string_view v) { rows.emplace_back(k, v); });
  return rows;
}

inline Rows DueOf(PartitionState& table, int64_t before_ms) {
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

// `slice` says how many slots to visit next, and may run batches.
inline Part Write(PartitionState& table, StateSnapshot* info = nullptr,
                  const std::function<uint32_t()>& slice = [] { return UINT32_MAX; }) {
  Part part;
  const auto keep = [&](const StateRow& e) {
    part.rows.push_back(
        {std::string(e.key), std::string(e.value), e.number, e.timer_ms, e.removed});
  };
  const uint64_t at_most = table.BeginSnapshot();
  while (!table.VisitSome(slice(), keep)) {}
  const StateSnapshot snapshot = table.EndSnapshot();
  EXPECT_LE(snapshot.entries, at_most);
  part.whole = snapshot.whole;
  EXPECT_EQ(snapshot.entries, part.rows.size());
  std::map<std::string, int> seen;
  for (const auto& row : part.rows) EXPECT_EQ(++seen[row.key], 1) << row.key;
  if (info != nullptr) *info = snapshot;
  return part;
}

inline void Restore(PartitionState& table, const std::vector<Part>& chain) {
  for (const Part& part : chain) {
    for (const auto& row : part.rows) {
      table.RestoreEntry({row.key, row.value, row.number, row.timer_ms, row.removed});
    }
  }
  table.FinishRestore(static_cast<uint32_t>(chain.size()));
}

}  // namespace sluice
