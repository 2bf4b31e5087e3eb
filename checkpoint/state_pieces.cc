#include "checkpoint/state_pieces.h"

#include <algorithm>
#include <tuple>

#include "common/status.h"

namespace sluice::internal {
namespace {

constexpr size_t kNameBytesMax = 65535;
constexpr uint8_t kRemoved = 1;
constexpr uint8_t kHasTimer = 2;

absl::Status SortEntries(StatePiece* piece) {
  const auto key_of = [](const StateEntry& entry) -> const std::string& { return entry.key; };
  std::ranges::sort(piece->entries, {}, key_of);
  if (std::ranges::adjacent_find(piece->entries, {}, key_of) != piece->entries.end()) {
    return absl::InvalidArgumentError("state part: a key of " + piece->operator_name +
                                      " is there twice");
  }
  for (const StateEntry& entry : piece->entries) {
    if (!entry.removed || (entry.value.empty() && !entry.timer_ms.has_value())) continue;
    return absl::InvalidArgumentError("state part: a removed entry of " + piece->operator_name +
                                      " has a value or a timer");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SortPieces(std::vector<StatePiece>* pieces) {
  const auto place_of = [](const StatePiece& piece) {
    return std::tie(piece.operator_name, piece.partition);
  };
  std::ranges::sort(*pieces, {}, place_of);
  if (std::ranges::adjacent_find(*pieces, {}, place_of) != pieces->end()) {
    return absl::InvalidArgumentError("state part: a piece is there twice");
  }
  for (StatePiece& piece : *pieces) {
    if (piece.operator_name.empty() || piece.operator_name.size() > kNameBytesMax) {
      return absl::InvalidArgumentError("state part: an operator's name has a bad length");
    }
    RETURN_IF_ERROR(SortEntries(&piece));
  }
  return absl::OkStatus();
}

void WriteEntryValue(const StateEntry& entry, ByteWriter* writer) {
  writer->U8((entry.removed ? kRemoved : 0) | (entry.timer_ms.has_value() ? kHasTimer : 0));
  writer->U64(entry.insertion);
  if (entry.timer_ms.has_value()) writer->U64(static_cast<uint64_t>(*entry.timer_ms));
  writer->Raw(entry.value);
}

void ReadEntryValue(FrameReader* reader, StateEntry* entry) {
  const uint8_t flags = reader->U8();
  if ((flags & ~(kRemoved | kHasTimer)) != 0) reader->Fail("unknown flags of an entry");
  entry->removed = (flags & kRemoved) != 0;
  entry->insertion = reader->U64();
  entry->timer_ms.reset();
  if ((flags & kHasTimer) != 0) entry->timer_ms = static_cast<int64_t>(reader->U64());
  entry->value = reader->Rest();
}

}  // namespace sluice::internal
