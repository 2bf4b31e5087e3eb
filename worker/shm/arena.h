// The memory into which a receiver executor fills records, shared with its worker daemon.
//
// The daemon makes it, so it outlives the executor: what an unreliable source had delivered to a
// buffer that was open when the executor died is sealed by the daemon at the last whole record.
//
// Layout: a directory of slice headers, then the slices. A slice is an area of record bytes and
// an area of end offsets. A record is there once `records` counts it; bytes and end offset are
// written before. A slice is *open* while it is filled, *sealed* from the message that seals it
// until the daemon has copied it, then free again.
//
// The executor runs user code, so the daemon believes nothing that it reads here: every view is
// cut to the slice, and the end offsets are checked in the daemon's copy.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/record_batch.h"
#include "worker/shm/mapping.h"

namespace sluice {

struct ArenaShape {
  uint32_t slices = 8;
  uint32_t slice_bytes = 2 << 20;  // multiple of 4096

  uint32_t records_max() const { return slice_bytes / 32; }
  uint32_t bytes_max() const { return slice_bytes - records_max() * 4; }
  uint64_t directory_bytes() const { return (uint64_t{slices} * 64 + 4095) / 4096 * 4096; }
  uint64_t slice_offset(uint32_t i) const { return directory_bytes() + uint64_t{i} * slice_bytes; }
  uint64_t total_bytes() const { return slice_offset(slices); }
  bool valid() const {
    return slices > 0 && slices <= 4096 && slice_bytes >= 4096 && slice_bytes % 4096 == 0 &&
           slice_bytes <= (1u << 30);
  }
};

enum class SliceState : uint32_t { kFree = 0, kOpen = 1, kSealed = 2 };

// One per slice, in the directory.
struct alignas(64) SliceHeader {
  std::atomic<uint32_t> state;
  std::atomic<uint32_t> records;
  uint32_t fixed_size;
  uint32_t stream;
  uint64_t incarnation;
  uint64_t number;    // of a sealed slice
  uint32_t reliable;
};
static_assert(sizeof(SliceHeader) == 64 && std::atomic<uint32_t>::is_always_lock_free);

// What a dead executor left in a slice.
struct LeftSlice {
  SliceState state = SliceState::kFree;
  uint32_t stream = 0;
  uint64_t incarnation = 0;
  uint64_t number = 0;
  bool reliable = false;
  uint64_t offset = 0;  // of the slice in the arena
  uint32_t records = 0;
};

// The daemon's side. Thread-safe: it only reads.
class ArenaHost {
 public:
  // Pages are touched once here. ResourceExhausted when there is no memory.
  static absl::StatusOr<ArenaHost> Make(const ArenaShape& shape);

  int fd() const { return fd_.get(); }
  const ArenaShape& shape() const { return shape_; }
  // The first `records` records of the slice at `offset`; nothing when no slice begins there or
  // it cannot hold them. End offsets are as the executor left them, except that no byte outside
  // the slice is named by the view's size.
  std::optional<BatchView> View(uint64_t offset, uint32_t records) const;
  std::vector<LeftSlice> Left() const;

 private:
  ArenaShape shape_;
  UniqueFd fd_;
  Mapping mapping_;
};

class ArenaWriter;

// An open slice. Belongs to one thread at a time.
class SliceWriter {
 public:
  // False: full; nothing was written.
  bool Append(std::string_view record);
  // Appends as many records of `batch` as fit, from `from` on; how many those were.
  uint32_t AppendFrom(const BatchView& batch, uint32_t from);
  uint32_t records() const { return records_; }
  uint64_t bytes() const { return size_; }
  uint64_t offset() const { return offset_; }

 private:
  friend class ArenaWriter;
  SliceHeader* header_ = nullptr;
  char* data_ = nullptr;
  uint32_t* ends_ = nullptr;
  uint32_t bytes_max_ = 0;
  uint32_t records_max_ = 0;
  uint32_t records_ = 0;
  uint32_t size_ = 0;
  uint32_t fixed_size_ = 0;
  uint32_t index_ = 0;
  uint64_t offset_ = 0;
};

// The executor's side. Not thread-safe.
class ArenaWriter {
 public:
  // `fd` is the daemon's memory file.
  static absl::StatusOr<ArenaWriter> Attach(UniqueFd fd, const ArenaShape& shape);

  struct Owner {
    uint32_t stream = 0;
    uint64_t incarnation = 0;
    bool reliable = false;
    uint32_t fixed_size = 0;
  };
  // The slice that was freed last; nothing when all are in use.
  std::optional<SliceWriter> Open(const Owner& owner);
  // The slice is about to be sealed as block `number`.
  void MarkSealed(const SliceWriter& slice, uint64_t number);
  // The slice at `offset` is free again. Unknown or free already: nothing happens.
  void Free(uint64_t offset);
  uint32_t free_slices() const { return static_cast<uint32_t>(free_.size()); }
  const ArenaShape& shape() const { return shape_; }

 private:
  SliceHeader* header(uint32_t i) const;

  ArenaShape shape_;
  UniqueFd fd_;
  Mapping mapping_;
  std::vector<uint32_t> free_;  // last freed at the back
};

}  // namespace sluice
