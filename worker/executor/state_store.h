// The state tables of one generation: one for each stateful operator and partition owned here.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "checkpoint/object_store.h"
#include "checkpoint/sorted_db.h"
#include "checkpoint/state_part.h"
#include "common/plan/stages.h"
#include "proto/cluster.pb.h"
#include "worker/executor/block_reader.h"
#include "worker/executor/partition_state.h"
#include "worker/executor/state_parts.h"

namespace sluice {

// Where decided state is kept (docs/larger_state.md).
struct StateBackend {
  // Opens the database of one store; empty: all state is in memory.
  std::function<absl::StatusOr<std::unique_ptr<SortedDb>>()> open;
  uint64_t cached_bytes = 0;              // of what is in a database, those that stay in memory
  uint64_t part_bytes = uint64_t{16} << 20;  // of entries in an object of a checkpoint of it
  uint64_t open_bytes = uint64_t{64} << 20;  // of objects that are held while a state is loaded
  // Objects, and before them blocks of deltas, that are read then while another is worked on.
  uint32_t read_ahead = 0;
};

// Thread-safe after Load. Each table has a lock, which a task holds while it works on it; merges
// are carried out by whoever takes that lock next, so that nobody waits for a task to merge. What
// goes through a whole table beside the tasks does so in slices, and lets a waiting task go first.
// Invariant: between BeginSnapshot(t) and the moment a table was written for t, no layer above t
// is merged into it.
class StateStore {
 public:
  explicit StateStore(const StagePlan* plan, uint32_t key_groups = 1024,
                      StateBackend backend = {})
      : plan_(plan), key_groups_(key_groups), backend_(std::move(backend)) {}

  // Nobody wants anything of it any more: Load and Write end before the next partition, CANCELLED.
  // Callable at any time, from any thread.
  void GiveUp() { given_up_ = true; }
  bool given_up() const { return given_up_; }

  // Makes the tables of `member`'s partitions and fills them with what the grant names; state that
  // was in another number of partitions is divided anew by its operator. ABORTED: a delta
  // cannot be had, without which another grant may do. `blocks` reads those of these partitions.
  absl::Status Load(const proto::Grant& grant, uint32_t member, const Ownership& owners,
                    ObjectStore* objects, const StatePartCodec* codec,
                    BlockReader* blocks = nullptr);

  // A table with an open attempt. Dropping it drops the attempt, unless it was kept.
  class Attempt {
   public:
    Attempt() = default;
    Attempt(Attempt&& other) noexcept
        : table_(std::exchange(other.table_, nullptr)), lock_(std::move(other.lock_)) {}
    Attempt& operator=(Attempt&&) = delete;
    ~Attempt() {
      if (table_ != nullptr) table_->DropAttempt();
    }
    KeyedState* state() const { return table_; }  // null for an operator without state
    // `changes` is called with each entry that is changed by it; may be null.
    LayerDigest Keep(int64_t batch_ms, const std::function<void(const StateRow&)>& changes) {
      PartitionState* table = std::exchange(table_, nullptr);
      const LayerDigest digest = table->KeepAttempt(batch_ms);
      if (changes != nullptr) table->VisitNewestLayer(changes);
      return digest;
    }

   private:
    friend class StateStore;
    Attempt(PartitionState* table, std::unique_lock<std::mutex> lock)
        : table_(table), lock_(std::move(lock)) {
      table_->OpenAttempt();
    }
    PartitionState* table_ = nullptr;
    std::unique_lock<std::mutex> lock_;
  };
  // Throws StateLost, as what is done with the state does.
  Attempt Open(StageId stage, uint32_t partition);

  void MergeUpTo(int64_t batch_ms) { merge_limit_ = batch_ms; }
  void BeginSnapshot(int64_t batch_ms) { barrier_ = batch_ms; }

  // The next three run one after another, on one thread. Writes what BeginSnapshot announced.
  absl::StatusOr<WrittenPart> Write(int64_t batch_ms, const std::string& part_name,
                                    ObjectStore* objects, const StatePartCodec* codec);
  void ForgetSealed();
  void RestorePending();

 private:
  struct Cell {
    std::mutex mutex;
    std::atomic<int> tasks_waiting = 0;  // for the lock
    std::unique_ptr<PartitionState> table;
    int64_t written_ms = 0;
    std::string operator_name;
    uint32_t partition = 0;
  };

  class Former;
  absl::Status Wanted() const;
  absl::Status Divide(const Stage& stage, const std::vector<uint32_t>& own, Former& former,
                      uint32_t former_partitions, int64_t batch_ms);
  void CatchUp(Cell& cell);
  // Gives the lock to the tasks that wait for it, and takes it again.
  static void LetTasksGo(Cell& cell, std::unique_lock<std::mutex>& lock);
  std::unique_ptr<PartitionState> NewTable(uint64_t cached_bytes);
  absl::Status WriteTable(Cell& cell, int64_t batch_ms, PartWriter& parts);

  const StagePlan* plan_;
  const uint32_t key_groups_;
  const StateBackend backend_;
  std::unique_ptr<SortedDb> db_;  // null: all is in memory
  uint32_t tables_made_ = 0;
  std::map<std::pair<StageId, uint32_t>, Cell> cells_;
  std::atomic<int64_t> merge_limit_ = 0;
  std::atomic<int64_t> barrier_ = 0;
  std::atomic<bool> given_up_ = false;
};

}  // namespace sluice
