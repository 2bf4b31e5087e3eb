// Key groups: a fixed slice of the hash space each; a partition is a range of them.
#pragma once

#include <cstdint>

namespace sluice {

inline uint32_t KeyGroupOf(uint64_t hash, uint32_t key_groups) {
  return static_cast<uint32_t>((static_cast<unsigned __int128>(hash) * key_groups) >> 64);
}
inline uint32_t PartitionOf(uint64_t hash, uint32_t key_groups, uint32_t partitions) {
  return static_cast<uint32_t>(uint64_t{KeyGroupOf(hash, key_groups)} * partitions / key_groups);
}

}  // namespace sluice
