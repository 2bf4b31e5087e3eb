// Where a receiver's open buffers come from: slices of the arena shared with the worker daemon, or
// the heap, when the daemon is in the same process.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "common/encoded_batch.h"
#include "common/record_batch.h"
#include "proto/cluster.pb.h"

namespace sluice {

// Belongs to one block that is being filled.
class OpenBuffer {
 public:
  virtual ~OpenBuffer() = default;
  // False: full; nothing was written.
  virtual bool Append(std::string_view record) = 0;
  // Appends as many records of `batch` as fit, from `from` on; how many those were.
  virtual uint32_t AppendFrom(const BatchView& batch, uint32_t from) = 0;
  // Takes the batch as it is where this is still empty and can hold it without a copy. False:
  // nothing was taken.
  virtual bool Adopt(EncodedBatch& batch) = 0;
  virtual uint32_t records() const = 0;
  // Ends the filling: says in `slice` where the bytes are. `number` is that of the block.
  virtual void Seal(uint64_t number, proto::SealSlices::Slice* slice) = 0;
};

struct BufferOwner {
  uint32_t stream = 0;
  uint64_t incarnation = 0;
  bool reliable = false;
  // How much is there to be filled in; 0: not known.
  uint64_t bytes_hint = 0;
  uint32_t records_hint = 0;
};

// Not thread-safe: the receiver core calls it.
class BufferPool {
 public:
  virtual ~BufferPool() = default;
  // A buffer that can take at least one record of `record_bytes`. Null: none is free now.
  virtual std::unique_ptr<OpenBuffer> Open(const BufferOwner& owner, uint64_t record_bytes) = 0;
  // The daemon has taken what was sealed at `arena_offset`.
  virtual void Free(uint64_t arena_offset) = 0;
  // Messages to the daemon cannot be lost, so a seal is never repeated.
  virtual bool lossless() const = 0;
};

// Records above this are refused, whatever the pool.
inline constexpr uint64_t kRecordBytesMax = uint64_t{64} << 20;

}  // namespace sluice
