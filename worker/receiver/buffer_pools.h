// The two kinds of buffer pool.
#pragma once

#include <memory>

#include "worker/receiver/buffer_pool.h"
#include "worker/shm/arena.h"

namespace sluice {

// Slices of the arena shared with the daemon; records too large for one go by message.
std::unique_ptr<BufferPool> NewArenaPool(ArenaWriter arena);

struct HeapPoolOptions {
  uint64_t block_bytes = 2 << 20;
  // Up to here a store of many records is one block.
  uint64_t store_bytes = 8 << 20;
  uint32_t store_records = 1 << 18;
  uint32_t block_records = 1 << 16;
  uint32_t buffers = 32;  // open or on their way to the daemon
};
// For a daemon in the same process: blocks are handed over, not copied.
std::unique_ptr<BufferPool> NewHeapPool(const HeapPoolOptions& options = {});

}  // namespace sluice
