// The groups of GroupByKey where all keys have one size and all values another, whose bytes need no
// check: counted in one pass, and put in their places in a second. Untyped.
#pragma once

#include <cstdint>
#include <span>

#include "driver/api/chain.h"

namespace sluice::internal {

// Whether FixedGroups takes keys of K and values of V.
template <class K, class V>
inline constexpr bool kFitFixedGroups =
    (kFixedSize<K> == 4 || kFixedSize<K> == 8 || kFixedSize<K> == 16) && kFixedSize<V> != 0 &&
    kSameBytes<V>;

// Reused from batch to batch. Not thread-safe.
class FixedGroups {
 public:
  FixedGroups(uint32_t key_size, uint32_t value_size);
  FixedGroups(const FixedGroups&) = delete;
  FixedGroups& operator=(const FixedGroups&) = delete;
  ~FixedGroups();

  // Appends a record for each key, in the order of its first value: key, count, and the values in
  // the order of arrival. False, with nothing done: the records of some share are of another size.
  bool Gather(std::span<const Share> shares, RecordBatch& out);

 private:
  class Table;
  Table* const table_;  // owned
};

}  // namespace sluice::internal
