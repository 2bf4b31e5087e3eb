#include "worker/executor/state_store.h"

#include <algorithm>
#include <exception>
#include <thread>

#include "absl/strings/str_cat.h"
#include "checkpoint/errors.h"
#include "common/mutations.h"
#include "common/status.h"
#include "worker/executor/state_delta.h"

namespace sluice {
namespace {

constexpr uint32_t kSlice = 4096;  // slots under one lock: a fraction of a millisecond

// Opens parts on first use: one object holds the pieces of many partitions.
class PartCache {
 public:
  PartCache(ObjectStore* objects, const StatePartCodec* codec)
      : objects_(objects), codec_(codec) {}

  absl::StatusOr<StatePartReader*> Open(const std::string& name) {
    auto& reader = readers_[name];
    if (reader == nullptr) {
      auto bytes = objects_->Get(name);
      if (absl::IsNotFound(bytes.status())) {  // a checkpoint that is kept names it
        return DamagedError("checkpoint damaged: " + objects_->Where() + "/" + name +
                            " is missing");
      }
      if (!bytes.ok()) return WithContext("state part " + name, bytes.status());
      ASSIGN_OR_RETURN(reader, codec_->Open(name, *std::move(bytes)));
    }
    return reader.get();
  }

 private:
  ObjectStore* objects_;
  const StatePartCodec* codec_;
  std::map<std::string, std::unique_ptr<StatePartReader>> readers_;
};

absl::Status ReadChain(const proto::Grant::PartChain& chain, PartCache& parts,
                       StateTable& table) {
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

}  // namespace

// What a grant names of the state of one operator.
class StateStore::Former {
 public:
  Former(const proto::Grant& grant, ObjectStore* objects, const StatePartCodec* codec)
      : parts_(objects, codec) {
    for (const auto& chain : grant.chains()) {
      chains_[{chain.operator_name(), chain.partition()}] = &chain;
      partitions_[chain.operator_name()] = chain.partitions();
    }
  }
  // How many it was in, where that is another number than now; else 0.
  uint32_t PartitionsOf(const std::string& operator_name) const {
    const auto found = partitions_.find(operator_name);
    return found == partitions_.end() ? 0 : found->second;
  }
  // Keeps what they have of these partitions. Aborted: one cannot be had.
  absl::Status ReadDeltas(const proto::Grant& grant, BlockReader* blocks,
                          const std::set<std::pair<std::string, uint32_t>>& own) {
    for (const auto& delta : grant.deltas()) {
      if (blocks == nullptr) return absl::InternalError("nothing reads blocks here");
      if (kMutationDeltaLeftOut && &delta == &*grant.deltas().rbegin()) break;
      auto bytes = blocks->Read(delta.block(), delta.holders());
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
  absl::Status Read(const std::string& operator_name, uint32_t partition, StateTable& table) {
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
    return absl::OkStatus();
  }

 private:
  static absl::Status Lost(const absl::Status& why) {
    return absl::AbortedError(absl::StrCat("changes of decided batches: ", why.message()));
  }

  PartCache parts_;
  // Entries by operator and partition, oldest batch first.
  std::map<std::pair<std::string, uint32_t>, std::vector<std::string>> changes_;
  std::map<std::pair<std::string, uint32_t>, const proto::Grant::PartChain*> chains_;
  std::map<std::string, uint32_t> partitions_;
};

absl::Status StateStore::Load(const proto::Grant& grant, uint32_t member, const Ownership& owners,
                              ObjectStore* objects, const StatePartCodec* codec,
                              BlockReader* blocks) {
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
  Former former(grant, objects, codec);
  RETURN_IF_ERROR(former.ReadDeltas(grant, blocks, names));
  merge_limit_ = std::max(grant.manifest_batch_ms(), grant.state_ms());
  for (const auto& [id, own] : all_own) {
    const Stage& stage = plan_->stages()[id];
    const Node& node = plan_->graph().node(stage.root);
    const uint32_t partitions = former.PartitionsOf(node.state_name);
    if (partitions == 0) {
      for (const uint32_t p : own) {
        RETURN_IF_ERROR(former.Read(node.state_name, p, cells_[{stage.id, p}].table));
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
  for (const uint32_t p : own) cells_[{stage.id, p}].table.OpenAttempt();
  for (spreading.former = 0; spreading.former < former_partitions; ++spreading.former) {
    std::vector<uint32_t> takers;
    for (const uint32_t p : own) {
      spreading.partition = p;
      if (partition_operator->NeedsFormer(spreading)) takers.push_back(p);
    }
    if (takers.empty()) continue;
    StateTable table;
    RETURN_IF_ERROR(former.Read(node.state_name, spreading.former, table));
    for (const uint32_t p : takers) {
      spreading.partition = p;
      try {
        partition_operator->TakeOver(spreading, table, cells_[{stage.id, p}].table);
      } catch (const std::exception& thrown) {
        return absl::InternalError("state " + node.state_name +
                                   " cannot be divided anew: " + thrown.what());
      }
    }
  }
  for (const uint32_t p : own) {
    cells_[{stage.id, p}].table.KeepAttempt(batch_ms);
    cells_[{stage.id, p}].table.MergeUpTo(batch_ms);
  }
  return absl::OkStatus();
}

void StateStore::CatchUp(Cell& cell) {
  int64_t limit = merge_limit_;  // read before the barrier, which is set before the limit passes
  const int64_t barrier = barrier_;
  if (barrier != 0 && cell.written_ms != barrier) limit = std::min(limit, barrier);
  cell.table.MergeUpTo(limit);
}

StateStore::Attempt StateStore::Open(StageId stage, uint32_t partition) {
  const auto it = cells_.find({stage, partition});
  if (it == cells_.end()) return Attempt();
  ++it->second.tasks_waiting;
  std::unique_lock lock(it->second.mutex);
  --it->second.tasks_waiting;
  CatchUp(it->second);
  return Attempt(&it->second.table, std::move(lock));
}

void StateStore::LetTasksGo(Cell& cell, std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  while (cell.tasks_waiting > 0) std::this_thread::yield();
  lock.lock();
}

StateSnapshot StateStore::TakeSnapshot(Cell& cell, int64_t batch_ms,
                                       std::vector<StateEntry>& entries) {
  const auto visit = [&](const StateRow& row) {
    StateEntry& entry = entries.emplace_back();
    entry.key = row.key;
    entry.removed = row.removed;
    if (row.removed) return;
    entry.value = row.value;
    if (row.timer_ms != 0) entry.timer_ms = row.timer_ms;
    entry.insertion = row.number;
  };
  std::unique_lock lock(cell.mutex);
  CatchUp(cell);
  entries.reserve(cell.table.BeginSnapshot());
  while (!cell.table.VisitSome(kSlice, visit)) LetTasksGo(cell, lock);
  cell.written_ms = batch_ms;
  return cell.table.EndSnapshot();
}

absl::StatusOr<WrittenPart> StateStore::Write(int64_t batch_ms, const std::string& part_name,
                                              ObjectStore* objects, const StatePartCodec* codec) {
  WrittenPart written;
  std::vector<StatePiece> pieces;
  for (auto& [key, cell] : cells_) {
    StatePiece piece{cell.operator_name, cell.partition, {}};
    const StateSnapshot snapshot = TakeSnapshot(cell, batch_ms, piece.entries);
    if (!snapshot.written) continue;
    proto::CheckpointPart::Piece& told = written.pieces.emplace_back();
    told.set_operator_name(cell.operator_name);
    told.set_partition(cell.partition);
    told.set_part(part_name);
    told.set_whole(snapshot.whole);
    pieces.push_back(std::move(piece));
  }
  if (pieces.empty()) return written;
  ASSIGN_OR_RETURN(const std::string bytes, codec->Encode(std::move(pieces)));
  written.bytes = bytes.size();
  const absl::Status put = objects->PutIfAbsent(part_name, bytes);
  if (!put.ok()) return Annotate(put, "state part " + part_name + " in " + objects->Where());
  return written;
}

void StateStore::ForgetSealed() {
  for (auto& [key, cell] : cells_) {
    std::unique_lock lock(cell.mutex);
    while (!cell.table.ForgetSome(kSlice)) LetTasksGo(cell, lock);
  }
}

void StateStore::RestorePending() {
  for (auto& [key, cell] : cells_) {
    std::unique_lock lock(cell.mutex);
    cell.table.RestorePending();
  }
}

}  // namespace sluice
