#include "checkpoint/state_pieces.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "common/status.h"

namespace sluice::internal {
namespace {

constexpr size_t kNameBytesMax = 65535;
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
    if (!piece.entries.Sort()) {
      return absl::InvalidArgumentError("state part: a key of " + piece.operator_name +
                                        " is there twice");
    }
    if (piece.entries.has_bad_removal()) {
      return absl::InvalidArgumentError("state part: a removed entry of " + piece.operator_name +
                                        " has a value or a timer");
    }
  }
  return absl::OkStatus();
}

void ReadEntryValue(FrameReader* reader, StateEntry* entry) {
  const uint8_t flags = reader->U8();
  if ((flags & ~(kEntryRemoved | kEntryHasTimer)) != 0) reader->Fail("unknown flags of an entry");
  entry->removed = (flags & kEntryRemoved) != 0;
  entry->insertion = reader->U64();
  entry->timer_ms.reset();
  if ((flags & kEntryHasTimer) != 0) entry->timer_ms = static_cast<int64_t>(reader->U64());
  entry->value = reader->Rest();
}

}  // namespace sluice::internal
