// What a daemon and its executors say on the unix socket that passes descriptors. One packet is
// one message, of fixed size; a packet of another size or kind ends the connection.
#pragma once

#include <cstdint>

#include "worker/shm/arena.h"
#include "worker/shm/block_key.h"

namespace sluice::internal {

inline constexpr uint32_t kFdMagic = 0x31444653;  // "SFD1"

enum class FdCall : uint32_t { kMap = 1, kUnpin = 2, kArena = 3, kBoard = 4 };

struct FdRequest {
  uint32_t magic = kFdMagic;
  FdCall call = FdCall::kMap;
  BlockKey block;  // kMap, kUnpin
};

enum class FdStatus : uint32_t {
  kOk = 0,
  kNotFound = 1,   // no such block here
  kElsewhere = 2,  // here, but not in memory: read it by message
  kRefused = 3,
};

// kUnpin has no reply.
struct FdReply {
  uint32_t magic = kFdMagic;
  FdStatus status = FdStatus::kOk;
  // kMap
  uint32_t segment = 0;
  uint32_t dedicated = 0;
  uint64_t segment_bytes = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  uint32_t crc32c = 0;
  uint32_t has_fd = 0;  // a descriptor comes with this packet
  // kArena
  ArenaShape shape;
};

}  // namespace sluice::internal
