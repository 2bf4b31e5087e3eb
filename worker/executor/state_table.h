// The keyed state of one stateful operator in one partition, all of it in memory.
//
// Not thread-safe: one task at a time works on a partition, and batches come in order.
//
// Invariants, beside those of its layers:
// 1. A slot, which is what owns records, is one life of a key: it has the insertion number that the
//    key got when it was put while absent, and slots lie in the order of these numbers. A key that
//    is removed and put again gets a new slot; the old one is linked behind it.
// 2. A slot holds the entry as it is on top of all layers. Each layer that changed it has an undo
//    record with what it was below; the records of a slot are linked, newest first. So reading,
//    keeping and merging leave slots alone, and dropping a layer, which is rare, writes them back.
// 3. Layers with serials up to `merged_` are in the base: a link to one of them leads nowhere, and
//    nobody cuts it.
// 4. The index finds the newest slot of a key.
// 5. A slot with due times, its own or in an undo record, is filed under a time that is not after
//    any of them. Files may also name slots that have gone, or were filed again since: `filed_ms`
//    of the slot says which file counts.
// 6. An entry that the last sealed checkpoint does not have as it is in the base is in one of the
//    two sets of pending changes: `current_`, or `writing_` while a checkpoint has it. Slots that
//    the base has as removed are in the list beside it, to be freed when the removal is sealed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/executor/layered_state.h"
#include "worker/executor/slot_chunks.h"
#include "worker/executor/slot_set.h"

namespace sluice {
namespace internal {

// An undo record, or none.
struct UndoLink {
  uint32_t layer = 0;  // its serial
  uint32_t place = 0;  // in it
};

// What a slot was before a layer changed it: live or absent.
struct Undo {
  SmallBytes value;
  int64_t timer_ms = 0;
  UndoLink older;
  uint32_t owner = SlotIndex::kNone;  // its slot
  uint32_t bytes_before = 0;          // EncodedBytes
  uint32_t bytes_after = 0;           // settled when the layer is kept
  bool was_live = false;
  bool removes = false;               // the change is a removal
};

}  // namespace internal

class StateTable final : public internal::LayeredState<StateTable, internal::Undo> {
 public:
  // `serials`: layers that have a serial of their own, before these are given anew.
  explicit StateTable(uint32_t serials = UINT32_MAX - 1) : serials_(serials) {}
  ~StateTable() override = default;
  StateTable(const StateTable&) = delete;
  StateTable& operator=(const StateTable&) = delete;

  void RestoreEntry(const StateRow& entry) override;
  void RestoreChange(const StateRow& entry) override;
  void FinishRestore(uint32_t parts) override;

  // KeyedState, within an attempt.
  void PutTimed(std::string_view key, std::string_view value, int64_t timer_ms) override;
  void Remove(std::string_view key) override;
  void ForEach(const Visitor& visit) override;
  void ForEachDue(int64_t before_ms, const Visitor& visit) override;
  std::string_view Look(std::string_view key, uint64_t hash, Place& place) override;
  void PutAt(const Place& place, std::string_view key, std::string_view value,
             int64_t timer_ms) override;
  void LookAll(std::span<const std::string_view> keys, const uint64_t* hashes,
               Found* found) override;
  void PutAll(std::span<const Putting> entries, int64_t timer_ms) override;
  Place Visited() const override { return {.slot = visited_, .known = visited_ != kNone}; }
  void Prefetch(std::span<const uint64_t> hashes) override;
  int64_t DueOf(std::string_view key) override;

  uint64_t BeginSnapshot() override;
  bool VisitSome(uint32_t count, const EntryVisitor& visit) override;
  StateSnapshot EndSnapshot() override;
  bool ForgetSome(uint32_t count) override;
  void RestorePending() override;

 private:
  friend class internal::LayeredState<StateTable, internal::Undo>;
  using Undo = internal::Undo;
  using Link = internal::UndoLink;

  enum Life : uint8_t { kFree, kAbsent, kLive, kRemoved };
  static constexpr size_t kSpareChunks = SIZE_MAX;
  static constexpr uint32_t kFreeSlotsMany = 1024;

  // One cache line. Zeros are a free slot.
  struct alignas(64) Slot {
    uint64_t number : 56 = 0;
    uint64_t life : 4 = kFree;
    uint64_t has_former : 1 = 0;  // formers_ has the key's slot before this one
    uint64_t doubtful : 1 = 0;    // what the attempt made of it may still change, or be no change
    internal::SmallBytes key;
    internal::SmallBytes value;
    int64_t timer_ms = 0;
    int64_t filed_ms = 0;         // 0: in no file
    Link newest;
  };
  static_assert(sizeof(Slot) == 64);
  // A slot without the layers.
  struct InBase {
    Life life = kAbsent;
    std::string_view value;
    int64_t timer_ms = 0;
  };

  // For the layers.
  void BeforeAttempt();
  LayerDigest Settle();
  void TakeBack(Undo& undo);
  void LayerDropped(uint64_t first_number);
  void MergeLayer(Layer& layer);
  void LayersMerged(uint64_t /*end_number*/) {}
  bool EndsKey(uint32_t index) const;
  StateRow RowOf(const Undo& undo) const;

  // state_table.cc: attempts.
  Slot& slot(uint32_t i) const { return slots_[i]; }
  static constexpr uint32_t kEntryBytes = 16;  // beside key and value
  static uint64_t EncodedBytes(const Slot& s) {
    return s.key.size() + s.value.size() + kEntryBytes;
  }
  uint32_t Find(std::string_view key, uint64_t hash) const;
  static uint64_t HashOf(const Slot& s);
  uint32_t NewSlot(std::string_view key, uint64_t hash, uint32_t former);
  Undo& AddUndo(uint32_t index);
  void PutIn(uint32_t index, uint64_t hash, std::string_view key, std::string_view value,
             int64_t timer_ms);
  void Doubt(uint32_t index, uint64_t hash);
  bool InAttempt(const Slot& s) const { return s.newest.layer == attempt_.serial; }
  static bool Visible(const Slot& s) { return s.life == kLive; }
  static int64_t VisibleTimer(const Slot& s) { return Visible(s) ? s.timer_ms : 0; }
  static bool IsChange(const Undo& undo, const Slot& s);
  void SettleSlot(uint32_t index, LayerDigest& digest);

  // state_layers.cc: layers, and the life of slots.
  bool Merged(const Link& link) const { return link.layer <= merged_; }
  const Undo& At(const Link& link) const;
  InBase BaseOf(const Slot& s) const;
  void NumberLayersAnew();
  uint32_t Former(uint32_t index) const;
  uint32_t DirectFormer(uint32_t index) const;
  void SetFormer(uint32_t index, uint32_t former);
  void FreeIfDead(uint32_t index);
  void FreeSlot(uint32_t index);
  bool IsPending(uint32_t index) const {
    return current_.Contains(index) || writing_.Contains(index);
  }
  void MarkPending(uint32_t index);
  void Compact();

  // state_timers.cc: due times.
  int64_t EarliestTimer(const Slot& s) const;
  void File(uint32_t index, int64_t timer_ms);
  std::vector<uint32_t> TakeFilesBefore(int64_t before_ms);
  void RenameFiled(const std::vector<uint32_t>& place);

  // state_snapshot.cc: checkpoints.
  bool EndsInBase(uint32_t index) const;
  void VisitSlot(uint32_t index, const EntryVisitor& visit);
  void SortRestored();

  void AskFor(std::span<const uint64_t> hashes) const;
  void PrefetchSlot(uint32_t i) const { __builtin_prefetch(&slot(i)); }

  static constexpr size_t kAhead = 8;  // slots asked for before their turn

  const uint32_t serials_;
  uint32_t visited_ = kNone;  // by the visitor at work

  internal::SlotIndex index_;
  internal::SlotChunks<Slot> slots_;
  // The key's slot before a slot, which may be free by now. Few slots have one.
  std::unordered_map<uint32_t, uint32_t> formers_;
  uint32_t slot_count_ = 0;
  uint32_t free_slots_ = 0;

  uint32_t merged_ = 0;
  std::vector<uint32_t> doubtful_;  // slots of the attempt
  LayerDigest digest_;              // of the attempt's others

  std::map<int64_t, std::vector<uint32_t>> files_;  // slots that may be due after each time

  internal::SlotSet current_;  // slots with pending changes
  internal::SlotSet writing_;  // the same, of the checkpoint in progress
  std::vector<uint32_t> removed_;          // those of current_ that end a life
  std::vector<uint32_t> removed_writing_;
  bool visiting_ = false;      // between BeginSnapshot and EndSnapshot
  uint32_t visit_at_ = 0;      // the next slot to be looked at
  uint32_t visit_end_ = 0;
};

}  // namespace sluice
