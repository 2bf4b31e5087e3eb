// The keyed state of one stateful operator in one partition, as the executor handles it: attempts
// of tasks, layers of undecided batches, checkpoints. state_table.h keeps it in memory, and
// disk_table.h what is decided on disk.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "common/plan/kernel.h"

namespace sluice {

// One entry as it is stored in checkpoints.
struct StateRow {
  std::string_view key;
  std::string_view value;
  uint64_t number = 0;    // insertion number; unique within the partition
  int64_t timer_ms = 0;   // 0: none
  bool removed = false;   // the entry is gone; value and number mean nothing
};

// What a batch did to one table. Digests of partitions may be added.
struct LayerDigest {
  uint64_t digest = 0;
  uint64_t entries = 0;
};

// What a checkpoint took of one table.
struct StateSnapshot {
  bool written = false;  // false: nothing has changed since the last sealed checkpoint
  bool whole = false;    // replaces all former parts of this partition
  uint64_t entries = 0;
  uint64_t bytes = 0;
};

// The state cannot be read or written any more. Thrown through an operator by what KeyedState
// declares; the rest leaves it to error().
class StateLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Not thread-safe: one task at a time works on a partition, and batches come in order.
class PartitionState : public KeyedState {
 public:
  // ---- restore: only before the first attempt -------------------------------------------------
  // Entries of a chain of parts, the oldest part first; the order within a part is free.
  virtual void RestoreEntry(const StateRow& entry) = 0;
  // The same of what came behind the chain: no sealed checkpoint has it yet.
  virtual void RestoreChange(const StateRow& entry) = 0;
  // `parts`: length of the chain.
  virtual void FinishRestore(uint32_t parts) = 0;

  // ---- one attempt of a task ------------------------------------------------------------------
  virtual void OpenAttempt() = 0;
  // The attempt's changes become the layer of `batch_ms`, which is above all layers kept.
  virtual LayerDigest KeepAttempt(int64_t batch_ms) = 0;
  virtual void DropAttempt() = 0;

  // ---- layers; not within an attempt ----------------------------------------------------------
  virtual void MergeUpTo(int64_t batch_ms) = 0;
  virtual void DropAbove(int64_t batch_ms) = 0;
  // The entries that the newest layer changed, each key once, as RestoreChange takes them.
  using EntryVisitor = std::function<void(const StateRow&)>;
  virtual void VisitNewestLayer(const EntryVisitor& visit) const = 0;

  // ---- checkpoints ----------------------------------------------------------------------------
  // What a checkpoint of the base has to write, each key once: the pending changes, or all entries
  // when the increments have outgrown the base or are many. Visited in slices, with attempts
  // between them but no merge. They count as being written until RestorePending or the end of
  // ForgetSealed.
  virtual uint64_t BeginSnapshot() = 0;  // how many entries there are at most
  // Looks at `count` more slots; true: those were the last.
  virtual bool VisitSome(uint32_t count, const EntryVisitor& visit) = 0;
  virtual StateSnapshot EndSnapshot() = 0;
  // The checkpoint was sealed. In slices too: true: that was all.
  virtual bool ForgetSome(uint32_t count) = 0;
  void ForgetSealed() {
    while (!ForgetSome(UINT32_MAX)) {}
  }
  virtual void RestorePending() = 0;  // it was abandoned: its changes are still to be written

  // VisitSome sees the base as it was at BeginSnapshot, whatever is merged: it may be called beside
  // attempts and merges.
  virtual bool visits_apart() const { return false; }
  // Why the state is lost; empty: it is not. Nothing of it is of use then.
  virtual const std::string& error() const {
    static const std::string none;
    return none;
  }
};

}  // namespace sluice
