// The sealed blocks of this node, by name: in memory up to a budget, the oldest beyond it in files.
//
// Thread-safe. Invariants:
//   1. a block that was accepted is kept until Drop, in memory or on disk: unprocessed input is
//      never dropped to make room;
//   2. a block is copied once, when it is sealed; reading from memory copies nothing;
//   3. a pinned block stays in memory at its place, also when it is dropped meanwhile;
//   4. a spilled block is read with pread and checked: a damaged file is an error, never data;
//   5. when neither memory nor disk has room, the seal is refused and nothing else changes;
//   6. memory beyond the budget is held only by pinned blocks and one more.
// Spill files belong to one incarnation of the daemon; the next one removes them.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/record_batch.h"
#include "worker/shm/block_key.h"
#include "worker/shm/block_memory.h"
#include "worker/shm/fd_server.h"

namespace sluice {

struct BlockStoreCounters {
  uint64_t seal_copies = 0;       // blocks copied when they were sealed or came from a peer
  uint64_t seal_copy_bytes = 0;
  uint64_t read_copies = 0;       // blocks copied for a reader: spilled ones only
  uint64_t spilled_blocks = 0;    // ever
  uint64_t refused = 0;           // seals for which there was no room
  uint64_t memory_bytes = 0;      // of blocks in memory
  uint64_t disk_bytes = 0;        // of blocks on disk
  uint64_t blocks = 0;
};

class BlockStore {
 public:
  struct Options {
    uint64_t memory_max = uint64_t{1} << 30;
    std::string spill_dir;        // empty: never spill, refuse instead
    bool shared = true;           // in segments that executors can map, else on the heap
    uint64_t segment_bytes = uint64_t{64} << 20;
  };
  // Makes the spill directory and removes what a former incarnation left there.
  static absl::StatusOr<std::unique_ptr<BlockStore>> Open(const Options& options);
  ~BlockStore();

  struct Sealed {
    uint64_t bytes = 0;
    uint32_t crc32c = 0;
    uint32_t records = 0;
  };
  // Encodes the batch into block memory. The batch may change while it is copied: what was copied
  // is checked, and InvalidArgument says that it is no record batch. AlreadyExists: the name is
  // taken. ResourceExhausted: no room.
  absl::StatusOr<Sealed> Seal(const BlockKey& key, const BatchView& batch);
  // A block that is encoded already; taken over when blocks are on the heap, else copied. What
  // was not taken stays in `encoded`. A block that was taken over and cannot be spilled never
  // leaves this process: its checksum is 0.
  absl::StatusOr<Sealed> SealEncoded(const BlockKey& key, std::string* encoded);
  // A peer's block. DataLoss: its checksum is not `crc32c`.
  absl::Status PutCopy(const BlockKey& key, std::string_view encoded, uint32_t crc32c);

  // Holds a block's encoded bytes for reading. Must not outlive the store.
  class Reading {
   public:
    Reading(Reading&& other) noexcept
        : store_(std::exchange(other.store_, nullptr)),
          key_(other.key_),
          bytes_(other.bytes_),
          crc32c_(other.crc32c_),
          own_(std::move(other.own_)) {}
    Reading& operator=(Reading&&) = delete;
    ~Reading() {
      if (store_ != nullptr) store_->Unpin(key_);
    }
    std::string_view bytes() const { return own_ != nullptr ? *own_ : bytes_; }
    uint32_t crc32c() const { return crc32c_; }

   private:
    friend class BlockStore;
    Reading() = default;
    BlockStore* store_ = nullptr;
    BlockKey key_;
    std::string_view bytes_;
    uint32_t crc32c_ = 0;
    std::unique_ptr<std::string> own_;  // of a spilled block
  };
  // NotFound; DataLoss when its file is damaged.
  absl::StatusOr<Reading> Read(const BlockKey& key);

  // For the socket that passes descriptors (fd_server.h).
  FdSource::Found Pin(const BlockKey& key, MappableBlock* block);
  void Unpin(const BlockKey& key);

  void Drop(const BlockKey& key);
  void DropJob(uint64_t job_instance);
  bool Contains(const BlockKey& key) const;
  BlockStoreCounters counters() const;
  uint64_t total_bytes() const;  // memory and disk

 private:
  struct Entry {
    uint64_t bytes = 0;
    uint32_t crc32c = 0;
    uint32_t pins = 0;
    bool ready = false;       // its bytes are there
    bool dropped = false;     // goes with its last pin
    bool on_disk = false;
    Extent extent;            // shared memory
    std::string heap;         // not shared
    std::list<BlockKey>::iterator age;  // while in memory
  };
  using Entries = std::map<BlockKey, Entry>;

  explicit BlockStore(const Options& options);
  // A place for a new block of `bytes`: its entry is there, not ready, and its memory allocated.
  absl::StatusOr<char*> Reserve(const BlockKey& key, uint64_t bytes,
                                std::string* adopted = nullptr);
  absl::Status MakeRoom(uint64_t bytes);
  absl::StatusOr<bool> SpillOldest();  // false: all blocks in memory are in use
  Sealed Finish(const BlockKey& key, uint64_t bytes, uint32_t crc32c, uint32_t records);
  void Abandon(const BlockKey& key);
  char* Bytes(Entry& entry);
  void FreeMemory(Entry& entry);
  void Erase(Entries::iterator entry);
  std::string PathOf(const BlockKey& key) const;

  const Options options_;
  mutable std::mutex mutex_;
  BlockMemory memory_;
  Entries entries_;
  std::list<BlockKey> ages_;  // blocks in memory, oldest first
  BlockStoreCounters counters_;
};

}  // namespace sluice
