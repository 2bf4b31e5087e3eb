// An executor's end of the unix socket of its daemon: maps sealed blocks for reading, in place.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "worker/shm/arena.h"
#include "worker/shm/block_key.h"
#include "worker/shm/mapping.h"
#include "worker/shm/task_board.h"

namespace sluice {

namespace internal {
struct FdReply;
}
class FdClient;

// The encoded bytes of a sealed block, mapped read-only. While this lives the daemon leaves them
// where they are. Must not outlive its client.
class MappedBlock {
 public:
  MappedBlock(MappedBlock&& other) noexcept
      : client_(std::exchange(other.client_, nullptr)),
        key_(other.key_),
        bytes_(other.bytes_),
        crc32c_(other.crc32c_),
        own_(std::move(other.own_)) {}
  MappedBlock& operator=(MappedBlock&&) = delete;
  ~MappedBlock();

  std::string_view bytes() const { return bytes_; }
  uint32_t crc32c() const { return crc32c_; }

 private:
  friend class FdClient;
  MappedBlock(FdClient* client, const BlockKey& key) : client_(client), key_(key) {}

  FdClient* client_;
  BlockKey key_;
  std::string_view bytes_;
  uint32_t crc32c_ = 0;
  Mapping own_;  // of a block with a segment of its own
};

// Thread-safe.
class FdClient {
 public:
  static absl::StatusOr<std::unique_ptr<FdClient>> Connect(const std::string& path);

  // NotFound: this node does not hold the block. FailedPrecondition: it does, on disk: fetch it by
  // message. Unavailable: the daemon is gone.
  absl::StatusOr<MappedBlock> MapBlock(const BlockKey& key);
  // Receiver executors only. At most once.
  absl::StatusOr<ArenaWriter> AttachArena();
  absl::StatusOr<TaskBoard> AttachBoard();

  uint64_t segments_mapped() const;

 private:
  friend class MappedBlock;
  explicit FdClient(UniqueFd socket) : socket_(std::move(socket)) {}
  void Unpin(const BlockKey& key);
  void UnpinLocked(const BlockKey& key);
  absl::StatusOr<const Mapping*> MappingOf(const internal::FdReply& reply, const UniqueFd& fd,
                                           MappedBlock* block);

  mutable std::mutex mutex_;
  UniqueFd socket_;
  std::unordered_map<uint32_t, Mapping> segments_;
};

}  // namespace sluice
