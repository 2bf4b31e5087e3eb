// Reading and writing the plain parts of an encoding: numbers, varints, delimited bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace sluice::internal {

// Reads bytes; every Take fails rather than pass the end.
struct ByteReader {
  const char* at;
  const char* end;

  size_t left() const { return static_cast<size_t>(end - at); }
  bool Take(void* to, size_t size) {
    if (left() < size) return false;
    std::memcpy(to, at, size);
    at += size;
    return true;
  }
  bool TakeVarint(uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && at != end; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at++);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return shift < 63 || byte <= 1;
    }
    return false;
  }
  bool TakeDelimited(std::string_view& bytes) {
    uint64_t size;
    if (!TakeVarint(size) || size > left()) return false;
    bytes = {at, static_cast<size_t>(size)};
    at += size;
    return true;
  }
};

inline void PutVarint(uint64_t value, std::string& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

inline void PutDelimited(std::string_view bytes, std::string& out) {
  PutVarint(bytes.size(), out);
  out.append(bytes);
}

}  // namespace sluice::internal
