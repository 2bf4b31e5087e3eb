// The keys of the driver log in its RocksDB: slots, big-endian, so that they sort as numbers do.
// For the rocksdb_*.cc files only.
#pragma once

#include <cstdint>
#include <string>

#include "rocksdb/slice.h"

namespace sluice::internal {

inline constexpr size_t kSlotKeyBytes = 8;

inline std::string KeyOfSlot(uint64_t slot) {
  std::string key(kSlotKeyBytes, '\0');
  for (int i = 0; i < 8; ++i) key[i] = static_cast<char>(slot >> (56 - 8 * i));
  return key;
}

inline uint64_t SlotOfKey(const rocksdb::Slice& key) {
  uint64_t slot = 0;
  for (size_t i = 0; i < key.size(); ++i) slot = slot << 8 | static_cast<uint8_t>(key[i]);
  return slot;
}

}  // namespace sluice::internal
