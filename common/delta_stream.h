// Blocks that hold no input but changes of state: recovery by deltas (docs/recovery_by_deltas.md).
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// Their stream. No source has this number.
inline constexpr uint32_t kDeltaStream = 0xffffffff;

// So many runs of partitions may name what is in one: it is in the log with each batch.
inline constexpr size_t kPartitionRunsMax = 8;

}  // namespace sluice
