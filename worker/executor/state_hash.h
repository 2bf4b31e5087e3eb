// The hash of state keys and of state digests: fixed, the same on every machine, so that digests
// of one batch can be compared between runs.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice::internal {

inline uint64_t MixHash(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a ^ 0x9e3779b97f4a7c15u) *
                                    (b ^ 0xd1b54a32d192ed03u);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t LoadWord(const char* bytes, size_t count) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, count);  // little-endian machines only, like every format here
  return word;
}

inline uint64_t StateHash(std::string_view bytes) {
  uint64_t hash = 0x2545f4914f6cdd1du ^ bytes.size();
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 16; at += 16, left -= 16) {
    hash = MixHash(hash ^ LoadWord(at, 8), LoadWord(at + 8, 8));
  }
  const uint64_t low = left >= 8 ? LoadWord(at, 8) : LoadWord(at, left);
  const uint64_t high = left > 8 ? LoadWord(at + 8, left - 8) : 0;
  return MixHash(hash ^ low, high ^ 0x8ebc6af09c88c6e3u);
}

}  // namespace sluice::internal
