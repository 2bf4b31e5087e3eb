// The hash of a key's canonical bytes. It decides which key group a key belongs to, so it is part
// of what a checkpoint means and never changes: "fold64-2".
//
// Bytes are taken 16 at a time as two little-endian words; each pair is folded into the state by
// a 64 x 64 -> 128 bit multiplication whose halves are xored with each other and with both factors,
// so that a factor of zero hides nothing of the other. The last 0 to 15 bytes are padded with
// zeros, and the length sits in the top byte of the second word. Key groups come from the top bits
// and table slots from the low ones; the final fold mixes both.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice {

inline constexpr std::string_view kKeyHashName = "fold64-2";

namespace internal {

inline uint64_t Fold64(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return a ^ b ^ static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline constexpr uint64_t kHashA = 0x9e3779b97f4a7c15;
inline constexpr uint64_t kHashB = 0xc2b2ae3d27d4eb4f;
inline constexpr uint64_t kHashC = 0xd6e8feb86659fd93;

// A key tail of up to 15 bytes with its length: two equal tails, and only they, are equal.
struct ShortKey {
  uint64_t low;
  uint64_t high;  // the length in the top byte
  bool operator==(const ShortKey&) const = default;
};
inline constexpr size_t kShortKeyMax = 15;

inline ShortKey LoadShortKeyCarefully(const char* bytes, size_t size) {
  ShortKey key{0, 0};
  if (size <= 8) {
    if (size != 0) std::memcpy(&key.low, bytes, size);
  } else {
    std::memcpy(&key.low, bytes, 8);
    std::memcpy(&key.high, bytes + 8, size - 8);
  }
  key.high |= uint64_t{size} << 56;
  return key;
}

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_CAREFUL_LOADS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_CAREFUL_LOADS 1
#endif
#endif

// Reads 16 bytes and masks, unless they could touch the next page or are nowhere: no branch on the
// length.
inline ShortKey LoadShortKey(const char* bytes, size_t size) {
#ifdef SLUICE_CAREFUL_LOADS
  return LoadShortKeyCarefully(bytes, size);
#else
  if (((reinterpret_cast<uintptr_t>(bytes) - 1) & 4095) >= 4096 - 16) [[unlikely]] {
    return LoadShortKeyCarefully(bytes, size);
  }
  static constexpr uint64_t kMask[32] = {
      0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff,
      ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull,
      0, 0, 0, 0, 0, 0, 0, 0,
      0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff};
  ShortKey key;
  std::memcpy(&key.low, bytes, 8);
  std::memcpy(&key.high, bytes + 8, 8);
  key.low &= kMask[size];
  key.high = (key.high & kMask[size + 16]) | uint64_t{size} << 56;
  return key;
#endif
}

inline uint64_t HashTail(ShortKey tail, uint64_t state) {
  return Fold64(Fold64(tail.low ^ state, tail.high ^ kHashB) ^ kHashA, kHashC);
}
inline uint64_t HashShortKey(ShortKey key) { return HashTail(key, kHashA); }

// Keys that all have kSize bytes, up to 16, as two words: two are equal where their words are. Up
// to kShortKeyMax it is LoadShortKey.
template <size_t kSize>
ShortKey LoadKeyOfSize(const char* bytes) {
  static_assert(kSize > 0 && kSize <= 16);
  ShortKey key{0, 0};
  std::memcpy(&key.low, bytes, kSize < 8 ? kSize : 8);
  if constexpr (kSize > 8) std::memcpy(&key.high, bytes + 8, kSize - 8);
  if constexpr (kSize <= kShortKeyMax) key.high |= uint64_t{kSize} << 56;
  return key;
}
// KeyHash of its bytes.
template <size_t kSize>
uint64_t HashKeyOfSize(ShortKey key) {
  if constexpr (kSize <= kShortKeyMax) {
    return HashShortKey(key);
  } else {
    const uint64_t state = kHashA ^ Fold64(kSize ^ kHashC, kHashB);
    return HashTail({0, 0}, Fold64(key.low ^ state, key.high ^ kHashB) + kHashC);
  }
}

}  // namespace internal

inline uint64_t KeyHash(std::string_view key) {
  using namespace internal;
  uint64_t state = kHashA;
  const char* at = key.data();
  size_t left = key.size();
  if (left > kShortKeyMax) {
    state ^= Fold64(left ^ kHashC, kHashB);
    for (; left > kShortKeyMax; at += 16, left -= 16) {
      uint64_t low, high;
      std::memcpy(&low, at, 8);
      std::memcpy(&high, at + 8, 8);
      state = Fold64(low ^ state, high ^ kHashB) + kHashC;
    }
  }
  return HashTail(LoadShortKey(at, left), state);
}

}  // namespace sluice
