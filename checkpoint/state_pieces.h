// What both encodings of state parts share.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "checkpoint/bytes.h"
#include "checkpoint/state_part.h"

namespace sluice::internal {

// Sorts pieces by operator and partition and entries by key. Invalid argument for a name of a bad
// length, a piece or key that is there twice, and a removal with a value or timer.
absl::Status SortPieces(std::vector<StatePiece>* pieces);

// All of an entry but its key: these flags, the insertion number, the timer if there is one, and
// the value. Written by StateEntries.
inline constexpr uint8_t kEntryRemoved = 1;
inline constexpr uint8_t kEntryHasTimer = 2;
// `reader` holds nothing else; it fails for anything that is not so.
void ReadEntryValue(FrameReader* reader, StateEntry* entry);

}  // namespace sluice::internal
