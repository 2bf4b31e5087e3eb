#include "worker/executor/state_delta.h"

#include <vector>

#include "common/byte_reader.h"
#include "common/encoded_batch.h"

namespace sluice {
namespace {

using internal::ByteReader;
using internal::PutDelimited;
using internal::PutVarint;

absl::Status Damaged() { return absl::DataLossError("a block of changes of state is damaged"); }

}  // namespace

std::string DeltaHead(std::string_view operator_name, uint32_t partition) {
  std::string record;
  PutDelimited(operator_name, record);
  PutVarint(partition, record);
  return record;
}

void AppendDelta(const StateRow& row, std::string& record) {
  record.push_back(row.removed ? 1 : 0);
  PutDelimited(row.key, record);
  PutVarint(row.number, record);
  if (row.removed) return;
  PutVarint(static_cast<uint64_t>(row.timer_ms), record);
  PutDelimited(row.value, record);
}

absl::Status ReadDelta(std::string_view block, const std::function<void(DeltaPiece)>& piece) {
  std::vector<uint32_t> scratch;
  const auto records = DecodeBatch(block, scratch);
  if (!records.has_value()) return Damaged();
  for (uint32_t i = 0; i < records->count; ++i) {
    const std::string_view record = records->record(i);
    ByteReader in{record.data(), record.data() + record.size()};
    DeltaPiece found;
    uint64_t partition = 0;
    if (!in.TakeDelimited(found.operator_name) || !in.TakeVarint(partition)) return Damaged();
    found.partition = static_cast<uint32_t>(partition);
    found.entries = {in.at, in.left()};
    piece(found);
  }
  return absl::OkStatus();
}

absl::Status ReadEntries(std::string_view entries, const std::function<void(StateRow)>& row) {
  ByteReader in{entries.data(), entries.data() + entries.size()};
  while (in.at != in.end) {
    StateRow entry;
    uint8_t removed = 0;
    if (!in.Take(&removed, 1) || removed > 1 || !in.TakeDelimited(entry.key) ||
        !in.TakeVarint(entry.number)) {
      return Damaged();
    }
    entry.removed = removed == 1;
    uint64_t due = 0;
    if (!entry.removed && (!in.TakeVarint(due) || !in.TakeDelimited(entry.value))) {
      return Damaged();
    }
    entry.timer_ms = static_cast<int64_t>(due);
    row(entry);
  }
  return absl::OkStatus();
}

}  // namespace sluice
