// Blocks that hold no input but changes of state: recovery by deltas (docs/recovery_by_deltas.md).
#pragma once

#include <cstdint>

namespace sluice {

// Their stream. No source has this number.
inline constexpr uint32_t kDeltaStream = 0xffffffff;

}  // namespace sluice
