// The floors of the shuffle benchmark (B8): records parted by the hash of their key into buffers,
// and each partition read once. Compiled twice, as bench/floors.h says.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "bench/random.h"

namespace sluice::bench {

using SmallRecord = std::pair<uint64_t, uint64_t>;  // 16 bytes
struct LargeRecord {                                // 100 bytes
  uint64_t key = 0;
  std::array<char, 92> rest{};
};

// What a reducer sums up: depends on the key and on bytes of both ends of the rest.
inline uint64_t SumOf(const SmallRecord& record) { return Mix(record.first ^ record.second); }
inline uint64_t SumOf(const LargeRecord& record) {
  return Mix(record.key ^ (uint64_t{static_cast<unsigned char>(record.rest[0])} << 8) ^
             static_cast<unsigned char>(record.rest[91]));
}

// Buffers of a floor, kept from pass to pass.
struct PartedBytes {
  std::vector<std::vector<char>> partitions;
  std::vector<uint64_t> used;
};

#define SLUICE_DECLARE_FLOORS(flags)                                                          \
  namespace flags {                                                                           \
  /* Two passes over a piece that fits into the cache: count, then copy; then each partition */ \
  /* is summed up. The sum over all partitions. */                                            \
  uint64_t PartAndSum(std::span<const SmallRecord> records, uint32_t partitions,              \
                      PartedBytes& bytes);                                                    \
  uint64_t PartAndSum(std::span<const LargeRecord> records, uint32_t partitions,              \
                      PartedBytes& bytes);                                                    \
  }
SLUICE_DECLARE_FLOORS(floors_o2)
SLUICE_DECLARE_FLOORS(floors_native)
#undef SLUICE_DECLARE_FLOORS

}  // namespace sluice::bench
