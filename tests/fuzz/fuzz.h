// What every fuzzer is made of. A fuzzer defines LLVMFuzzerTestOneInput, for libFuzzer and for the
// driver of this folder (driver.cc) alike, and Seeds, the valid inputs that mutations start from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "common/crc32c.h"

// Returns 0. A decoder that does not keep what it promises ends the process.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace sluice::fuzz {

// Made by the encoders, so that they follow the formats.
std::vector<std::string> Seeds();

[[noreturn]] inline void Fail(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  std::abort();
}
#define FUZZ_CHECK(condition) \
  if (!(condition)) ::sluice::fuzz::Fail(__FILE__, __LINE__, #condition)

inline std::string_view Bytes(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Takes numbers and pieces off the front of an input; zeros and nothing behind its end.
class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  uint8_t Byte() {
    if (bytes_.empty()) return 0;
    const char byte = bytes_[0];
    bytes_.remove_prefix(1);
    return static_cast<uint8_t>(byte);
  }
  // As long as the next two bytes say.
  std::string_view Piece() {
    const size_t size = Byte() | size_t{Byte()} << 8;
    const std::string_view piece = bytes_.substr(0, size);
    bytes_.remove_prefix(piece.size());
    return piece;
  }
  std::string_view Rest() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

// A piece as Piece takes it.
inline std::string AsPiece(std::string_view bytes) {
  return std::string{static_cast<char>(bytes.size()), static_cast<char>(bytes.size() >> 8)}.append(
      bytes);
}

// A checksum stops nearly every mutation at the door. So inputs of formats that have one are a byte
// and the bytes to decode: where the byte is odd, the checksum at `at` is made that of the bytes
// from `from` on.
inline std::string Summed(std::string_view input, size_t at, size_t from) {
  Input in(input);
  const bool mend = in.Byte() % 2 == 1;
  std::string bytes(in.Rest());
  if (mend && bytes.size() >= std::max(from, at + 4)) {
    const uint32_t sum = Crc32c(std::string_view(bytes).substr(from));
    std::memcpy(bytes.data() + at, &sum, sizeof sum);
  }
  return bytes;
}
inline std::string AsSummed(std::string_view bytes) { return "\1" + std::string(bytes); }

}  // namespace sluice::fuzz
