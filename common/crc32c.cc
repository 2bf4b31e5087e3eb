#include "common/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace sluice {
namespace internal {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reversed

using Table = std::array<std::array<uint32_t, 256>, 8>;

// table[k][b]: what byte b, followed by k zero bytes, does to an empty register.
Table MakeTable() {
  Table table{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t value = b;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? kPolynomial : 0);
    table[0][b] = value;
  }
  for (size_t k = 1; k < table.size(); ++k) {
    for (uint32_t b = 0; b < 256; ++b) {
      const uint32_t before = table[k - 1][b];
      table[k][b] = (before >> 8) ^ table[0][before & 0xff];
    }
  }
  return table;
}

const Table& Bytes() {
  static const Table table = MakeTable();
  return table;
}

uint32_t Step(const Table& table, uint32_t state, uint8_t byte) {
  return (state >> 8) ^ table[0][(state ^ byte) & 0xff];
}

uint64_t Load64(const char* p) {
  uint64_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// What `bytes` zero bytes do to a register, as four look-ups.
class ZeroRun {
 public:
  explicit ZeroRun(size_t bytes) {
    std::array<uint32_t, 32> basis;
    for (int bit = 0; bit < 32; ++bit) {
      uint32_t state = uint32_t{1} << bit;
      for (size_t i = 0; i < bytes; ++i) state = Step(Bytes(), state, 0);
      basis[bit] = state;
    }
    for (int lane = 0; lane < 4; ++lane) {
      for (uint32_t b = 0; b < 256; ++b) {
        uint32_t sum = 0;
        for (int bit = 0; bit < 8; ++bit) {
          if (b >> bit & 1) sum ^= basis[lane * 8 + bit];
        }
        table_[lane][b] = sum;
      }
    }
  }
  uint32_t Apply(uint32_t state) const {
    return table_[0][state & 0xff] ^ table_[1][state >> 8 & 0xff] ^
           table_[2][state >> 16 & 0xff] ^ table_[3][state >> 24];
  }

 private:
  std::array<std::array<uint32_t, 256>, 4> table_;
};

}  // namespace

uint32_t ExtendCrc32cPortable(uint32_t crc, std::string_view bytes) {
  const Table& table = Bytes();
  const char* p = bytes.data();
  size_t left = bytes.size();
  uint32_t state = ~crc;
  for (; left >= 8; left -= 8, p += 8) {
    const uint64_t word = Load64(p) ^ state;
    state = 0;
    for (int i = 0; i < 8; ++i) state ^= table[7 - i][word >> (8 * i) & 0xff];
  }
  for (; left > 0; --left, ++p) state = Step(table, state, static_cast<uint8_t>(*p));
  return ~state;
}

#if defined(__x86_64__)

bool HasCrc32cHardware() { return __builtin_cpu_supports("sse4.2"); }

// The instruction takes three cycles but one can start in each: three lanes run side by side and
// are joined by shifting the first two over what follows them.
__attribute__((target("sse4.2"))) uint32_t ExtendCrc32cHardware(uint32_t crc,
                                                                std::string_view bytes) {
  constexpr size_t kLane = 1024;
  static const ZeroRun lane_zeros(kLane);
  const char* p = bytes.data();
  size_t left = bytes.size();
  uint64_t state = static_cast<uint32_t>(~crc);
  for (; left >= 3 * kLane; left -= 3 * kLane, p += 3 * kLane) {
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < kLane; i += 8) {
      state = _mm_crc32_u64(state, Load64(p + i));
      second = _mm_crc32_u64(second, Load64(p + kLane + i));
      third = _mm_crc32_u64(third, Load64(p + 2 * kLane + i));
    }
    state = lane_zeros.Apply(static_cast<uint32_t>(state)) ^ second;
    state = lane_zeros.Apply(static_cast<uint32_t>(state)) ^ third;
  }
  for (; left >= 8; left -= 8, p += 8) state = _mm_crc32_u64(state, Load64(p));
  auto narrow = static_cast<uint32_t>(state);
  for (; left > 0; --left, ++p) narrow = _mm_crc32_u8(narrow, static_cast<uint8_t>(*p));
  return ~narrow;
}

#else

bool HasCrc32cHardware() { return false; }
uint32_t ExtendCrc32cHardware(uint32_t crc, std::string_view bytes) {
  return ExtendCrc32cPortable(crc, bytes);
}

#endif

}  // namespace internal

uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes) {
  static const bool hardware = internal::HasCrc32cHardware();
  return hardware ? internal::ExtendCrc32cHardware(crc, bytes)
                  : internal::ExtendCrc32cPortable(crc, bytes);
}

}  // namespace sluice
