// The keyed state of one stateful operator in one partition, all of it in memory.
//
// Not thread-safe: one task at a time works on a partition, and batches come in order.
//
// Invariants, beside those of its layers:
// 1. A slot, which is what owns versions, is one life of a key: it has the insertion number that
//    the key got when it was put while absent, and slots lie in the order of these numbers. A key
//    that is removed and put again gets a new slot; the old one is linked behind it.
// 2. The index finds the newest slot of a key.
// 3. A slot with due times, in the base or in a version, is filed under a time that is not after
//    any of them. Files may also name slots that have gone, or were filed again since: `filed_ms`
//    of the slot says which file counts.
// 4. An entry that the last sealed checkpoint does not have as it is in the base is in one of the
//    two sets of pending changes: `current`, or `writing` while a checkpoint has it.
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

namespace sluice {

class StateTable final : public internal::LayeredState<StateTable> {
 public:
  StateTable();
  ~StateTable() override;
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
  Place Visited() const override { return {.slot = visited_, .known = visited_ != kNone}; }
  void Prefetch(std::span<const uint64_t> hashes) override;
  int64_t DueOf(std::string_view key) override;

  uint64_t BeginSnapshot() override;
  bool VisitSome(uint32_t count, const EntryVisitor& visit) override;
  StateSnapshot EndSnapshot() override;
  bool ForgetSome(uint32_t count) override;
  void RestorePending() override;

 private:
  friend class internal::LayeredState<StateTable>;
  using Version = internal::Version;
  using Layer = internal::Layer;

  enum Base : uint8_t { kAbsent, kLive, kRemoved, kFree };
  enum Pending : uint8_t { kCurrent = 1, kWriting = 2 };
  static constexpr size_t kSpareChunks = SIZE_MAX;
  static constexpr uint32_t kChunkBits = 10;
  static constexpr uint32_t kChunk = 1u << kChunkBits;

  // One cache line.
  struct alignas(64) Slot {
    uint64_t number : 56 = 0;
    uint64_t base : 4 = kFree;
    uint64_t pending : 3 = 0;
    uint64_t has_former : 1 = 0;  // formers_ has the key's slot before this one
    internal::SmallBytes key;
    internal::SmallBytes value;
    int64_t timer_ms = 0;
    int64_t filed_ms = 0;         // 0: in no file
    Version* head = nullptr;

    bool live() const { return base == kLive; }
    int64_t timer() const { return timer_ms; }
    uint64_t insertion() const { return number; }
  };
  static_assert(sizeof(Slot) == 64);

  // For the layers.
  Version*& HeadOf(uint32_t index) const { return slot(index).head; }
  std::string_view KeyAt(uint32_t index) const { return slot(index).key.view(); }
  internal::EntryView BaseOf(uint32_t index) const {
    const Slot& s = slot(index);
    return {s.live(), s.value.view(), s.number, s.timer_ms};
  }
  void BeforeAttempt();
  void Dismissed(uint32_t index) { FreeIfDead(index); }
  bool EndsKey(uint32_t index) const;
  void MergeLayer(Layer& layer);
  void LayerDropped(uint64_t first_number);

  Slot& slot(uint32_t i) const { return slots_[i >> kChunkBits][i & (kChunk - 1)]; }
  static uint64_t EncodedBytes(const Slot& s) { return s.key.size() + s.value.size() + 16; }
  uint32_t Find(std::string_view key, uint64_t hash) const;
  uint32_t Former(uint32_t index) const;
  uint32_t DirectFormer(uint32_t index) const;
  void SetFormer(uint32_t index, uint32_t former);
  static uint64_t HashOf(const Slot& s);
  uint32_t NewSlot(std::string_view key, uint64_t hash, uint32_t former);
  void PutIn(uint32_t index, uint64_t hash, std::string_view key, std::string_view value,
             int64_t timer_ms);
  static int64_t EarliestTimer(const Slot& s);
  void File(uint32_t index, int64_t timer_ms);
  std::vector<uint32_t> TakeFilesBefore(int64_t before_ms);
  void RenameFiled(const std::vector<uint32_t>& place);
  void MergeVersion(Version& version);
  void FreeIfDead(uint32_t index);
  void FreeSlot(uint32_t index);
  void MarkPending(uint32_t index);
  bool EndsInBase(uint32_t index) const;
  void Compact();
  void SortRestored();

  void PrefetchSlot(uint32_t i) const { __builtin_prefetch(&slot(i)); }

  static constexpr size_t kAhead = 8;  // slots asked for before their turn

  uint32_t visited_ = kNone;  // by the visitor at work

  internal::SlotIndex index_;
  std::vector<std::unique_ptr<Slot[]>> slots_;
  // The key's slot before a slot, which may be free by now. Few slots have one.
  std::unordered_map<uint32_t, uint32_t> formers_;
  uint32_t slot_count_ = 0;
  uint32_t free_slots_ = 0;

  std::map<int64_t, std::vector<uint32_t>> files_;  // slots that may be due after each time

  std::vector<uint32_t> current_;  // slots with pending changes
  std::vector<uint32_t> writing_;  // the same, of the checkpoint in progress
  bool visiting_ = false;          // between BeginSnapshot and EndSnapshot
  uint32_t visit_at_ = 0;          // the next: a slot of a whole snapshot, a place in current_
  uint32_t visit_end_ = 0;
};

}  // namespace sluice
