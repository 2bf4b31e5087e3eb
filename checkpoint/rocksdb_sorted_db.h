// A sorted database in RocksDB without a write-ahead log.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/sorted_db.h"

namespace sluice {

struct RocksDbSortedOptions {
  std::string dir;         // made, and removed with the database; empty: in memory, for tests
  // Two thirds of it for blocks that were read, one for what is not written yet.
  uint64_t memory = 48 << 20;
  bool tiny_triggers = false;  // for tests: writers wait at next to nothing
};

// Errors of opening and of use name the folder. Resource exhausted: the disk is full.
absl::StatusOr<std::unique_ptr<SortedDb>> OpenRocksDbSorted(RocksDbSortedOptions options);

}  // namespace sluice
