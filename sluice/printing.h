// Where Print outputs show their batches.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace sluice {

// Writes the text to an open descriptor, behind what the program itself has printed. Unavailable:
// the disk is full; part of the text may be there, and all of it is to be printed again later.
// Where nobody will ever read it (a closed pipe, a terminal that was hung up) that is said once,
// and the text counts as printed. Waits for a slow reader.
absl::Status PrintTo(int descriptor, std::string_view text);

}  // namespace sluice
