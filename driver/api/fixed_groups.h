// The groups of GroupByKey where all keys have one size and all values another, whose bytes need no
// check: counted in one pass, and put in their places in a second. Untyped.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/key_hash.h"
#include "common/large_memory.h"
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
  FixedGroups(uint32_t key_size, uint32_t value_size)
      : key_size_(key_size), value_size_(value_size) {}

  // Appends a record for each key, in the order of its first value: key, count, and the values in
  // the order of arrival. False, with nothing done: the records of some share are of another size.
  bool Gather(std::span<const Share> shares, RecordBatch& out);

 private:
  struct Group {
    ShortKey key;  // as LoadKeyOfSize has it
    uint32_t count = 0;
    uint32_t at = 0;  // where its next value goes
  };

  template <uint32_t kKeySize>
  void GatherKeys(std::span<const Share> shares, RecordBatch& out);
  template <uint32_t kKeySize>
  void CountPiece(const BatchView& records, uint32_t begin, uint32_t count);
  template <uint32_t kKeySize>
  void Reserve(uint64_t groups);
  template <uint32_t kKeySize>
  char* WriteHeads(RecordBatch& out);
  template <uint32_t kValueSize>
  void PutValues(std::span<const Share> shares, char* bytes);

  const uint32_t key_size_;
  const uint32_t value_size_;
  // A part of the hash above, index + 1 of a group below; 0: free.
  std::vector<uint64_t, LargeAllocator<uint64_t>> cells_;
  uint64_t mask_ = 0;
  std::vector<Group, LargeAllocator<Group>> groups_;
  std::vector<uint32_t> group_of_;  // by record
};

}  // namespace sluice::internal
