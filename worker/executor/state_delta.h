// The changes that one batch made to an executor's state, as the block that carries them: a record
// batch, one record for each changed partition.
//
//   record   operator name, partition, and entries to the end of the record, each of
//              removed     one byte; 1: the entry is gone, only key and number follow
//              key
//              number      of insertion
//              due time    0: none
//              value
// Numbers are varints; names, keys and values are delimited by their length.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "worker/executor/state_table.h"

namespace sluice {

// The beginning of a record, to which AppendDelta adds entries.
std::string DeltaHead(std::string_view operator_name, uint32_t partition);
void AppendDelta(const StateRow& row, std::string& record);

// Which piece a record is of.
struct DeltaPiece {
  std::string_view operator_name;
  uint32_t partition = 0;
  std::string_view entries;
};
// Of all records of the block; the views point into `block`. DATA_LOSS: it is no such block.
absl::Status ReadDelta(std::string_view block, const std::function<void(DeltaPiece)>& piece);
absl::Status ReadEntries(std::string_view entries, const std::function<void(StateRow)>& row);

}  // namespace sluice
