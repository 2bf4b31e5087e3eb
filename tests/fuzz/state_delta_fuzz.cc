// ReadDelta and ReadEntries: whatever comes, they stay within it, and what they accept is read as
// the same once it is written again.
#include <tuple>
#include <vector>

#include "common/encoded_batch.h"
#include "common/record_batch.h"
#include "tests/fuzz/fuzz.h"
#include "worker/executor/state_delta.h"

namespace sluice::fuzz {
namespace {

using Row = std::tuple<std::string, uint32_t, std::string, std::string, uint64_t, int64_t, bool>;

// All entries of a block; none: it is refused.
bool ReadAll(std::string_view block, std::vector<Row>& rows) {
  bool sound = true;
  const absl::Status read = ReadDelta(block, [&](const DeltaPiece& piece) {
    FUZZ_CHECK(piece.entries.data() >= block.data());
    FUZZ_CHECK(piece.entries.data() + piece.entries.size() <= block.data() + block.size());
    sound &= ReadEntries(piece.entries, [&](const StateRow& row) {
               rows.emplace_back(piece.operator_name, piece.partition, row.key, row.value,
                                 row.number, row.timer_ms, row.removed);
             }).ok();
  });
  return read.ok() && sound;
}

std::string Write(const std::vector<Row>& rows) {
  RecordBatch batch;
  for (const auto& [name, partition, key, value, number, timer_ms, removed] : rows) {
    std::string record = DeltaHead(name, partition);
    AppendDelta({key, value, number, timer_ms, removed}, record);
    batch.Append(record);
  }
  std::string block;
  EncodeBatch(batch.view(), block);
  return block;
}

}  // namespace

std::vector<std::string> Seeds() {
  const std::vector<Row> rows = {{"totals", 3, "a", "1", 1, 0, false},
                                 {"totals", 3, "", "", 70'000, 1'700'000'000'000, false},
                                 {"other", 300, "gone", "", 2, 0, true}};
  return {Write(rows), Write({rows[1]}), Write({})};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::fuzz;
  std::vector<Row> rows, again;
  if (!ReadAll(Bytes(data, size), rows)) return 0;
  FUZZ_CHECK(ReadAll(Write(rows), again));
  FUZZ_CHECK(again == rows);
  return 0;
}
