// Standard output and error: what Print outputs show goes there, and nothing else may take their
// place.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace sluice {

// Writes the text to an open descriptor, behind what the program itself has printed. Unavailable:
// the disk is full; part of the text may be there, and all of it is to be printed again later.
// Where nobody will ever read it (a closed pipe, a terminal that was hung up) that is said once,
// and the text counts as printed. Waits for a slow reader.
absl::Status PrintTo(int descriptor, std::string_view text);

// Those of the standard descriptors that were closed when this process was started lead nowhere
// from now on: the next file that is opened would get their number, and what is printed would be
// written into it. First thing in main.
void HoldStandardDescriptors();

}  // namespace sluice
