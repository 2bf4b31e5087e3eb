// Little-endian fields of the formats stored by this folder. The reader checks every length
// against what is left before anything is allocated, and remembers where it stopped.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace sluice::internal {

class ByteWriter {
 public:
  void Reserve(size_t bytes) { bytes_.reserve(bytes); }
  void U8(uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void U32(uint32_t value) { Fixed(value, 4); }
  void U64(uint64_t value) { Fixed(value, 8); }
  // 32-bit length, then the bytes.
  void String(std::string_view value) {
    U32(static_cast<uint32_t>(value.size()));
    bytes_.append(value);
  }
  void Raw(std::string_view value) { bytes_.append(value); }
  // Overwrites four bytes written before.
  void PatchU32(size_t offset, uint32_t value);

  const std::string& bytes() const { return bytes_; }
  std::string Take() { return std::move(bytes_); }

 private:
  void Fixed(uint64_t value, size_t width) {
    static_assert(std::endian::native == std::endian::little);
    bytes_.append(reinterpret_cast<const char*>(&value), width);
  }
  std::string bytes_;
};

// Borrows its input. The first failure sticks; reads after it give zeros.
class FrameReader {
 public:
  explicit FrameReader(std::string_view bytes) : bytes_(bytes) {}

  uint8_t U8() { return static_cast<uint8_t>(Fixed(1, "a byte")); }
  uint32_t U32() { return static_cast<uint32_t>(Fixed(4, "a 32-bit number")); }
  uint64_t U64() { return Fixed(8, "a 64-bit number"); }
  std::string_view String();
  std::string_view Rest();
  // A count of things that take at least `bytes_each` bytes: refused when they cannot fit.
  uint32_t Count(size_t bytes_each);
  void Fail(std::string_view what);

  bool ok() const { return what_.empty(); }
  size_t offset() const { return offset_; }
  size_t left() const { return bytes_.size() - offset_; }
  // OK when all was read without failure; else what is wrong, and at which offset.
  absl::Status Finish(std::string_view format);

 private:
  uint64_t Fixed(size_t width, std::string_view what);

  std::string_view bytes_;
  size_t offset_ = 0;
  size_t failed_at_ = 0;
  std::string what_;
};

}  // namespace sluice::internal
