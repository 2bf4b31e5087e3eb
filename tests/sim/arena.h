// The memory that a receiver shares with its daemon: what of its buffers is there when it crashes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/record_batch.h"
#include "worker/daemon/worker_events.h"
#include "worker/receiver/buffer_pool.h"

namespace sluice::sim {

// Buffers are those of another pool; their records are here, too, until the daemon has taken them.
class SimArena {
 public:
  // This outlives the pool.
  std::unique_ptr<BufferPool> NewPool(std::unique_ptr<BufferPool> pool);
  // As the daemon finds it.
  std::vector<worker::LeftInArena> Left(uint64_t job_instance) const;
  // The encoded batch of each, by where it is.
  std::map<uint64_t, std::string> Bytes() const;

 private:
  class Pool;
  class Buffer;
  struct Slice {
    BufferOwner owner;
    uint64_t number = 0;  // of the block; 0: it is open
    RecordBatch records;
  };
  uint64_t next_open_ = 1;          // where open ones are; sealed ones are where the pool says
  std::map<uint64_t, Slice> slices_;
};

}  // namespace sluice::sim
