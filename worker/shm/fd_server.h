// Gives executors of this node the descriptors of block segments, of their arena and of their
// task board, over a unix socket in the daemon's data directory.
//
// One thread of its own. Who connects is known by the kernel's word (process id and user), not by
// what it says: a process of another user, or one that the daemon did not start, gets nothing; an
// executor gets only blocks of its own job. A block that was mapped stays where it is until the
// executor lets it go or its connection ends.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "worker/shm/arena.h"
#include "worker/shm/block_key.h"
#include "worker/shm/block_memory.h"

namespace sluice {

// Where a sealed block can be mapped.
struct MappableBlock {
  Extent extent;
  SegmentView segment;
  uint32_t crc32c = 0;
};

// What the server serves. Called on the server's thread.
class FdSource {
 public:
  enum class Found { kMapped, kElsewhere, kNotFound };
  struct Executor {
    uint64_t job_instance = 0;
    int arena_fd = -1;   // -1: it has none
    ArenaShape arena_shape;
    int board_fd = -1;
  };

  virtual ~FdSource() = default;
  // The executor that runs as `pid`; nothing when the daemon started no such process. The
  // descriptors stay open until that process was reaped and its connection has ended.
  virtual std::optional<Executor> Identify(int64_t pid) = 0;
  // kMapped: `block` is filled and the block pinned.
  virtual Found Pin(const BlockKey& key, MappableBlock* block) = 0;
  virtual void Unpin(const BlockKey& key) = 0;
};

class FdServer {
 public:
  static constexpr int kConnectionsMax = 256;
  static constexpr size_t kPinsMax = 1 << 16;  // of one connection

  // Listens at `path`; a socket left there by a former daemon is replaced. `source` must outlive
  // the server.
  static absl::StatusOr<std::unique_ptr<FdServer>> Start(const std::string& path,
                                                         FdSource* source);
  virtual ~FdServer() = default;  // ends the thread, drops all pins, removes the socket
};

}  // namespace sluice
