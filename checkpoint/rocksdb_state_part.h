// State parts as RocksDB SST files: checksummed, compressed, readable one by one or ingested whole.
#pragma once

#include <memory>

#include "checkpoint/state_part.h"

namespace sluice {

// The bytes are those of one SST file.
std::unique_ptr<StatePartCodec> NewRocksDbStatePartCodec();

}  // namespace sluice
