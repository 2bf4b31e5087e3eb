// The sealed blocks of this node, by name: in memory up to a budget, the oldest beyond it in files.
//
// Thread-safe. Invariants:
//   1. a block that was accepted is kept until Drop, in memory or on disk: unprocessed input is
//      never dropped to make room;
//   2. a block is copied once, when it is sealed; reading from memory copies nothing;
//   3. a pinned block stays in memory at its place, also when it is dropped meanwhile;
//   4. a spilled block is read with pread and checked: a damaged file is an error, never data; it
//      counts as damaged when it could not be read kBadReadsMax times in a row;
//   5. when memory is full and the disk is full as well, or fails, the seal is refused and nothing
//      else changes: ResourceExhausted, which may be over later;
//   6. memory beyond the budget is held only by pinned blocks, by one more, and by blocks that are
//      being written to disk: no further one is taken while these are above `spill_ahead_max`;
//   7. nobody waits for the disk but the store's own thread: a disk that hangs stops the intake
//      when the memory is full, and nothing else.
// Spill files belong to one incarnation of the daemon; the next one removes them.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/event_loop.h"
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
    uint64_t spill_ahead_max = uint64_t{8} << 20;
    bool shared = true;           // in segments that executors can map, else on the heap
    uint64_t segment_bytes = uint64_t{64} << 20;
  };
  // Makes the spill directory and removes what a former incarnation left there.
  static absl::StatusOr<std::unique_ptr<BlockStore>> Open(const Options& options);
  ~BlockStore();
  // Nothing is read, written or removed on disk any more, and no ReadThen is answered. Waits for
  // what is under way there.
  void StopDisk();
  // Until what is to be written, read or removed by now is done. For tests.
  void AwaitDisk();

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
    // DataLoss: what is in memory is not what was stored. Reads all of it; of a spilled block
    // nothing, for it was checked when it was read.
    absl::Status Check() const;

   private:
    friend class BlockStore;
    Reading() = default;
    BlockStore* store_ = nullptr;
    BlockKey key_;
    std::string_view bytes_;
    uint32_t crc32c_ = 0;
    std::unique_ptr<std::string> own_;  // of a spilled block
  };
  // NotFound; DataLoss when its file is damaged; Unavailable when it cannot be read now, and
  // ResourceExhausted when it cannot be opened. Reads a spilled block while the caller waits.
  absl::StatusOr<Reading> Read(const BlockKey& key);
  // The same without waiting: `done` is called at once unless the block is spilled, else on the
  // store's own thread.
  using ReadDone = std::function<void(absl::StatusOr<Reading>)>;
  void ReadThen(const BlockKey& key, ReadDone done);

  // For the socket that passes descriptors (fd_server.h).
  FdSource::Found Pin(const BlockKey& key, MappableBlock* block);
  void Unpin(const BlockKey& key);

  void Drop(const BlockKey& key);
  void DropJob(uint64_t job_instance);
  bool Contains(const BlockKey& key) const;
  BlockStoreCounters counters() const;
  uint64_t total_bytes() const;  // memory and disk

 private:
  static constexpr int kBadReadsMax = 3;
  struct Entry {
    uint64_t bytes = 0;
    uint32_t crc32c = 0;
    uint32_t pins = 0;
    bool ready = false;       // its bytes are there
    bool dropped = false;     // goes with its last pin
    bool on_disk = false;
    int bad_reads = 0;        // of its file, in a row
    bool spilling = false;    // being written; its memory stays until that is done
    Extent extent;            // shared memory
    std::string heap;         // not shared
    std::list<BlockKey>::iterator age;  // while in memory
  };
  using Entries = std::map<BlockKey, Entry>;
  // What comes of a read of its file: DataLoss is believed when it comes again and again.
  absl::Status Judge(const BlockKey& key, const absl::Status& read);

  explicit BlockStore(const Options& options);
  // A place for a new block of `bytes`: its entry is there, not ready, and its memory allocated.
  absl::StatusOr<char*> Reserve(const BlockKey& key, uint64_t bytes,
                                std::string* adopted = nullptr);
  // All with mutex_ held, but Spill and FinishSpill, which the disk's thread runs.
  absl::Status MakeRoom(uint64_t bytes);
  void BeginSpills(uint64_t bytes);
  void Spill(const BlockKey& key, std::string_view bytes);
  void FinishSpill(const BlockKey& key, const absl::Status& written);
  void RemoveFile(const BlockKey& key);
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
  uint64_t spilling_bytes_ = 0;
  absl::Status spill_error_;    // of the last write, until one succeeds
  MonotonicTime spill_not_before_ = 0;
  std::unique_ptr<EventLoop> disk_;  // null: nothing is ever spilled
};

}  // namespace sluice
