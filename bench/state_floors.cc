#include "bench/state_floors.h"

namespace sluice::bench::SLUICE_FLOORS {

uint64_t AddDeltas(std::span<const Delta> deltas, FlatSums& sums) {
  constexpr size_t kAhead = 16;
  Delta* const slots = sums.slots.data();
  const size_t mask = sums.slots.size() - 1;
  uint64_t grown = 0;
  for (size_t i = 0; i < deltas.size(); ++i) {
    if (i + kAhead < deltas.size()) {
      __builtin_prefetch(&slots[sums.Place(deltas[i + kAhead].first)]);
    }
    size_t at = sums.Place(deltas[i].first);
    while (slots[at].first != deltas[i].first + 1 && slots[at].first != 0) at = (at + 1) & mask;
    slots[at].first = deltas[i].first + 1;
    const int64_t before = slots[at].second;
    slots[at].second += deltas[i].second;
    grown += Grown(before, slots[at].second);
  }
  return grown;
}

}  // namespace sluice::bench::SLUICE_FLOORS
