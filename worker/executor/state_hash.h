// How the hashes of an entry's parts become one: fixed, the same on every machine, so that digests
// of one batch can be compared between runs.
#pragma once

#include <cstdint>

namespace sluice::internal {

inline uint64_t MixHash(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a ^ 0x9e3779b97f4a7c15u) *
                                    (b ^ 0xd1b54a32d192ed03u);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace sluice::internal
