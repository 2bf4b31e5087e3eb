#include "worker/executor/state_store.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <future>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "common/mutations.h"
#include "common/status.h"
#include "worker/executor/disk_table.h"
#include "worker/executor/partition_runs.h"
#include "worker/executor/read_ahead.h"
#include "worker/executor/state_delta.h"
#include "worker/executor/state_table.h"

namespace sluice {
namespace {

constexpr uint32_t kSlice = 4096;  // slots under one lock: a fraction of a millisecond
constexpr uint32_t kSliceOnDisk = 64;  // entries, which may be large, before an object is put

absl::Status ReadChain(const proto::Grant::PartChain& chain, PartCache& parts,
                       PartitionState& table) {
  for (const std::string& name : chain.parts()) {
    ASSIGN_OR_RETURN(StatePartReader * reader, parts.Open(name));
    const absl::Status read =
        reader->Read(chain.operator_name(), chain.partition(), [&](StateEntry&& entry) {
          table.RestoreEntry({entry.key, entry.value, entry.insertion,
                              entry.timer_ms.value_or(0), entry.removed});
          return absl::OkStatus();
        });
    if (absl::IsNotFound(read)) {
      return DamagedError("checkpoint damaged: " + name + " has no piece of " +
                          chain.operator_name());
    }
    RETURN_IF_ERROR(read);
  }
  return absl::OkStatus();
}

absl::Status ErrorOf(const PartitionState& table) {
  return table.error().empty() ? absl::OkStatus() : absl::InternalError(table.error());
}

// The blocks of deltas that may have something of these partitions, in the grant's order. Up to
// `ahead` are read beside each other, each on a thread of its own where one can be made; 0: one
// after the other, here.
class DeltaReads {
 public:
  DeltaReads(const proto::Grant& grant, BlockReader* blocks,
             const std::set<std::pair<std::string, uint32_t>>& own, uint32_t ahead)
      : blocks_(blocks), ahead_(ahead) {
    std::set<uint32_t> partitions;
    for (const auto& [operator_name, partition] : own) partitions.insert(partition);
    for (const auto& delta : grant.deltas()) {
      if (kMutationDeltaLeftOut && &delta == &*grant.deltas().rbegin()) break;
      if (MayHave(delta.block(), partitions)) expected_.push_back(&delta);
    }
  }
  bool left() const { return !asked_.empty() || !expected_.empty(); }
  absl::StatusOr<std::unique_ptr<BlockBytes>> Next() {
    while (!expected_.empty() && asked_.size() < std::max(ahead_, 1u)) {
      const auto read = [blocks = blocks_, delta = expected_.front()] {
        return blocks->Read(delta->block(), delta->holders());
      };
      asked_.push_back(ahead_ == 0 ? std::async(std::launch::deferred, read) : ReadAhead(read));
      expected_.pop_front();
    }
    auto bytes = asked_.front().get();
    asked_.pop_front();
    return bytes;
  }

 private:
  BlockReader* const blocks_;
  const uint32_t ahead_;
  std::deque<const proto::Grant::Delta*> expected_;
  std::deque<std::future<absl::StatusOr<std::unique_ptr<BlockBytes>>>> asked_;
};

}  // namespace

std::unique_ptr<PartitionState> StateStore::NewTable(uint64_t cached_bytes) {
  if (db_ == nullptr) return std::make_unique<StateTable>();
  return std::make_unique<DiskTable>(db_.get(), ++tables_made_, cached_bytes,
                                     backend_.part_bytes);
}

absl::Status StateStore::Wanted() const {
  return given_up_ ? absl::CancelledError("another generation has begun") : absl::OkStatus();
}

// What a grant names of the state of one operator.
class StateStore::Former {
 public:
  Former(const StateStore* store, const proto::Grant& grant, PartCache parts)
      : store_(store), parts_(std::move(parts)) {
    for (const auto& chain : grant.chains()) {
      chains_[{chain.operator_name(), chain.partition()}] = &chain;
      partitions_[chain.operator_name()] = chain.partitions();
    }
  }
  // Will be read, in the order of these calls.
  void Expect(const std::string& operator_name, uint32_t partition) {
    const auto chain = chains_.find({operator_name, partition});
    if (chain == chains_.end()) return;
    parts_.Expect({chain->second->parts().begin(), chain->second->parts().end()});
  }
  // How many it was in, where that is another number than now; else 0.
  uint32_t PartitionsOf(const std::string& operator_name) const {
    const auto found = partitions_.find(operator_name);
    return found == partitions_.end() ? 0 : found->second;
  }
  // Keeps what they have of these partitions. Aborted: one cannot be had.
  absl::Status ReadDeltas(const proto::Grant& grant, BlockReader* blocks,
                          const std::set<std::pair<std::string, uint32_t>>& own) {
    DeltaReads reads(grant, blocks, own, store_->backend_.read_ahead);
    while (reads.left()) {
      if (blocks == nullptr) return absl::InternalError("nothing reads blocks here");
      RETURN_IF_ERROR(store_->Wanted());
      const auto bytes = reads.Next();
      if (!bytes.ok()) return Lost(bytes.status());
      const absl::Status read = ReadDelta((*bytes)->bytes(), [&](DeltaPiece piece) {
        std::pair<std::string, uint32_t> key(piece.operator_name, piece.partition);
        if (own.contains(key)) changes_[std::move(key)].emplace_back(piece.entries);
      });
      if (!read.ok()) return Lost(read);
    }
    return absl::OkStatus();
  }
  // A partition without a chain or changes is empty.
  absl::Status Read(const std::string& operator_name, uint32_t partition, PartitionState& table) {
    RETURN_IF_ERROR(store_->Wanted());
    const auto chain = chains_.find({operator_name, partition});
    if (chain != chains_.end()) RETURN_IF_ERROR(ReadChain(*chain->second, parts_, table));
    const auto changes = changes_.find({operator_name, partition});
    if (chain == chains_.end() && changes == changes_.end()) return absl::OkStatus();
    if (changes != changes_.end()) {
      for (const std::string& entries : changes->second) {
        const absl::Status read =
            ReadEntries(entries, [&](const StateRow& row) { table.RestoreChange(row); });
        if (!read.ok()) return Lost(read);
      }
    }
    table.FinishRestore(
        static_cast<uint32_t>(chain == chains_.end() ? 0 : chain->second->parts_size()));
    return ErrorOf(table);
  }

 private:
  static absl::Status Lost(const absl::Status& why) {
    return absl::AbortedError(absl::StrCat("changes of decided batches: ", why.message()));
  }

  const StateStore* store_;
  PartCache parts_;
  // Entries by operator and partition, oldest batch first.
  std::map<std::pair<std::string, uint32_t>, std::vector<std::string>> changes_;
  std::map<std::pair<std::string, uint32_t>, const proto::Grant::PartChain*> chains_;
  std::map<std::string, uint32_t> partitions_;
};

absl::Status StateStore::Load(const proto::Grant& grant, uint32_t member, const Ownership& owners,
                              ObjectStore* objects, const StatePartCodec* codec,
                              BlockReader* blocks) {
  RETURN_IF_ERROR(Wanted());
  if (backend_.open != nullptr) {
    ASSIGN_OR_RETURN(db_, backend_.open());
  }
  std::map<StageId, std::vector<uint32_t>> all_own;
  std::set<std::pair<std::string, uint32_t>> names;
  for (const Stage& stage : plan_->stages()) {
    const Node& node = plan_->graph().node(stage.root);
    if (stage.is_source || node.state_name.empty()) continue;
    std::vector<uint32_t>& own = all_own[stage.id];
    for (uint32_t p = 0; p < stage.partitions; ++p) {
      if (owners.OwnerOf(stage.id, p, stage.partitions) != member) continue;
      own.push_back(p);
      names.emplace(node.state_name, p);
      Cell& cell = cells_[{stage.id, p}];
      cell.operator_name = node.state_name;
      cell.partition = p;
    }
  }
  for (auto& [id, cell] : cells_) cell.table = NewTable(backend_.cached_bytes / cells_.size());
  const uint64_t open_bytes = db_ == nullptr ? UINT64_MAX : backend_.open_bytes;
  Former former(this, grant, PartCache(objects, codec, open_bytes, backend_.read_ahead));
  RETURN_IF_ERROR(former.ReadDeltas(grant, blocks, names));
  merge_limit_ = std::max(grant.manifest_batch_ms(), grant.state_ms());
  for (const auto& [id, own] : all_own) {
    const Stage& stage = plan_->stages()[id];
    const Node& node = plan_->graph().node(stage.root);
    const uint32_t partitions = former.PartitionsOf(node.state_name);
    if (partitions == 0) {
      for (const uint32_t p : own) former.Expect(node.state_name, p);
      for (const uint32_t p : own) {
        RETURN_IF_ERROR(former.Read(node.state_name, p, *cells_[{stage.id, p}].table));
      }
    } else {
      RETURN_IF_ERROR(Divide(stage, own, former, partitions, grant.manifest_batch_ms()));
    }
  }
  return absl::OkStatus();
}

// One former partition is in memory at a time. What is taken from it is a change that no sealed
// checkpoint has: the next one writes all of it.
absl::Status StateStore::Divide(const Stage& stage, const std::vector<uint32_t>& own,
                                Former& former, uint32_t former_partitions, int64_t batch_ms) {
  const Node& node = plan_->graph().node(stage.root);
  const auto partition_operator = node.partition_operator->New();
  Spreading spreading;
  spreading.former_partitions = former_partitions;
  spreading.partitions = stage.partitions;
  spreading.key_groups = key_groups_;
  spreading.partitioner = node.partitioner.get();
  std::map<uint32_t, std::vector<uint32_t>> takers;  // by former partition
  for (spreading.former = 0; spreading.former < former_partitions; ++spreading.former) {
    for (const uint32_t p : own) {
      spreading.partition = p;
      if (partition_operator->NeedsFormer(spreading)) takers[spreading.former].push_back(p);
    }
  }
  for (const auto& [from, own_of] : takers) former.Expect(node.state_name, from);
  for (const auto& [from, partitions] : takers) {
    spreading.former = from;
    const std::unique_ptr<PartitionState> table = NewTable(0);
    RETURN_IF_ERROR(former.Read(node.state_name, from, *table));
    for (const uint32_t p : partitions) {
      spreading.partition = p;
      PartitionState& to = *cells_[{stage.id, p}].table;
      to.OpenAttempt();
      try {
        partition_operator->TakeOver(spreading, *table, to);
      } catch (const std::exception& thrown) {
        return absl::InternalError("state " + node.state_name +
                                   " cannot be divided anew: " + thrown.what());
      }
      to.KeepAttempt(batch_ms);
      to.MergeUpTo(batch_ms);
      RETURN_IF_ERROR(ErrorOf(to));
    }
  }
  return absl::OkStatus();
}

void StateStore::CatchUp(Cell& cell) {
  int64_t limit = merge_limit_;  // read before the barrier, which is set before the limit passes
  const int64_t barrier = barrier_;
  if (barrier != 0 && cell.written_ms != barrier) limit = std::min(limit, barrier);
  cell.table->MergeUpTo(limit);
}

StateStore::Attempt StateStore::Open(StageId stage, uint32_t partition) {
  const auto it = cells_.find({stage, partition});
  if (it == cells_.end()) return Attempt();
  ++it->second.tasks_waiting;
  std::unique_lock lock(it->second.mutex);
  --it->second.tasks_waiting;
  CatchUp(it->second);
  PartitionState* table = it->second.table.get();
  if (!table->error().empty()) throw StateLost(table->error());
  return Attempt(table, std::move(lock));
}

void StateStore::LetTasksGo(Cell& cell, std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  while (cell.tasks_waiting > 0) std::this_thread::yield();
  lock.lock();
}

// A table that is visited beside tasks and merges is left to them at once; the other is visited in
// slices, and no layer is merged until that is over.
absl::Status StateStore::WriteTable(Cell& cell, int64_t batch_ms, PartWriter& parts) {
  const auto add = [&](const StateRow& row) { parts.Add(row); };
  std::unique_lock lock(cell.mutex, std::defer_lock);
  absl::Status put;
  if (cell.table->visits_apart()) {
    parts.Begin(cell.operator_name, cell.partition, 0);
    while (put.ok() && !cell.table->VisitSome(kSliceOnDisk, add)) put = parts.PutIfFull();
    lock.lock();
  } else {
    lock.lock();
    CatchUp(cell);
    parts.Begin(cell.operator_name, cell.partition, cell.table->BeginSnapshot());
    while (!cell.table->VisitSome(kSlice, add)) LetTasksGo(cell, lock);
    cell.written_ms = batch_ms;
  }
  parts.End(cell.table->EndSnapshot());
  RETURN_IF_ERROR(put);
  return ErrorOf(*cell.table);
}

absl::StatusOr<WrittenPart> StateStore::Write(int64_t batch_ms, const std::string& part_name,
                                              ObjectStore* objects, const StatePartCodec* codec) {
  PartWriter parts(part_name, objects, codec, db_ == nullptr ? UINT64_MAX : backend_.part_bytes);
  for (auto& [key, cell] : cells_) {  // none waits with its merges for another to be written
    if (!cell.table->visits_apart()) continue;
    std::lock_guard lock(cell.mutex);
    CatchUp(cell);
    cell.table->BeginSnapshot();
    cell.written_ms = batch_ms;
  }
  for (auto& [key, cell] : cells_) {
    RETURN_IF_ERROR(Wanted());
    RETURN_IF_ERROR(WriteTable(cell, batch_ms, parts));
  }
  return parts.Finish();
}

void StateStore::ForgetSealed() {
  for (auto& [key, cell] : cells_) {
    std::unique_lock lock(cell.mutex);
    while (!cell.table->ForgetSome(kSlice)) LetTasksGo(cell, lock);
  }
}

void StateStore::RestorePending() {
  for (auto& [key, cell] : cells_) {
    std::unique_lock lock(cell.mutex);
    cell.table->RestorePending();
  }
}

}  // namespace sluice
