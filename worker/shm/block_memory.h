// Sealed blocks in memory segments that executors on this node map read-only.
//
// A segment is a memory file without a name: it goes with the last process that has it open, so
// nothing is left behind after SIGKILL. The daemon maps it writable and then seals it against
// everybody else. Invariants:
//   1. a segment's size never changes;
//   2. only this process can change its bytes, through the mapping made before the seal;
//   3. memory is backed before it is used, so a full system is an error and never a SIGBUS;
//   4. pages are kept and reused: the lowest free run that fits is taken first, so what was
//      touched before is touched again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "absl/status/statusor.h"
#include "worker/shm/mapping.h"

namespace sluice {

// A run of bytes inside a segment.
struct Extent {
  uint32_t segment = 0;  // never used for another segment later
  uint64_t offset = 0;
  uint64_t length = 0;
};

// What another process needs to map a segment. The descriptor belongs to the block memory.
struct SegmentView {
  int fd = -1;
  uint64_t bytes = 0;
  bool dedicated = false;  // holds one block and goes when that block goes
};

// Not thread-safe: its block store calls it under a lock. The bytes of an allocated extent stay
// where they are until Free, and may be written by one thread without the lock.
class BlockMemory {
 public:
  // A block larger than a segment gets a segment of its own.
  explicit BlockMemory(uint64_t segment_bytes = uint64_t{64} << 20);

  // ResourceExhausted when the system has no memory to give.
  absl::StatusOr<Extent> Allocate(uint64_t length);
  char* data(const Extent& extent);
  void Free(const Extent& extent);
  std::optional<SegmentView> segment(uint32_t id) const;

  // Bytes backed by memory, free runs included.
  uint64_t committed_bytes() const { return committed_bytes_; }

 private:
  struct Segment {
    UniqueFd fd;
    Mapping mapping;
    bool dedicated = false;
    uint64_t committed = 0;
    std::map<uint64_t, uint64_t> free;  // offset -> length; neighbours are joined
  };

  absl::StatusOr<uint32_t> AddSegment(uint64_t bytes, bool dedicated);
  absl::StatusOr<Extent> Take(uint32_t id, uint64_t length);

  const uint64_t segment_bytes_;
  uint64_t committed_bytes_ = 0;
  uint32_t last_id_ = 0;
  std::map<uint32_t, Segment> segments_;
};

}  // namespace sluice
