// The floor of keyed state (B7): a flat table of keys and values. Compiled twice, as
// bench/floors.h says.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "bench/random.h"

namespace sluice::bench {

using Delta = std::pair<int64_t, int64_t>;  // (key, what is added to its value)

// What an update gives, so that the sum over all updates does not depend on their order: that of
// the squares of all values in the end.
inline uint64_t Grown(int64_t before, int64_t after) {
  const auto square = [](int64_t value) {
    return static_cast<uint64_t>(value) * static_cast<uint64_t>(value);
  };
  return square(after) - square(before);
}

// Open addressing over (key + 1, value), at most half full.
struct FlatSums {
  explicit FlatSums(size_t keys) : slots(std::bit_ceil(2 * keys)) {
    shift = 64 - std::bit_width(slots.size() - 1);
  }
  size_t Place(int64_t key) const { return Mix(static_cast<uint64_t>(key)) >> shift; }

  std::vector<Delta> slots;
  int shift = 0;
};

#define SLUICE_DECLARE_FLOORS(flags)                                                       \
  namespace flags {                                                                        \
  /* Adds all deltas, asking for a slot some records ahead; the sum of what has Grown. */   \
  uint64_t AddDeltas(std::span<const Delta> deltas, FlatSums& sums);                       \
  }
SLUICE_DECLARE_FLOORS(floors_o2)
SLUICE_DECLARE_FLOORS(floors_native)
#undef SLUICE_DECLARE_FLOORS

}  // namespace sluice::bench
