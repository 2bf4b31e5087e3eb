// CRC-32C (Castagnoli): the one checksum of blocks, log records, manifests and state parts.
// Uses the processor's instruction where there is one, found at run time.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

// The checksum of (bytes already summed to `crc`) followed by `bytes`.
uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes);

inline uint32_t Crc32c(std::string_view bytes) { return ExtendCrc32c(0, bytes); }

namespace internal {

// The two ways of computing it, named so that tests can compare them.
uint32_t ExtendCrc32cPortable(uint32_t crc, std::string_view bytes);
uint32_t ExtendCrc32cHardware(uint32_t crc, std::string_view bytes);
bool HasCrc32cHardware();

}  // namespace internal
}  // namespace sluice
