// The keyed state of one stateful operator in one partition: a base, one layer of changes for
// each undecided batch, and at most one attempt on top.
//
// Not thread-safe: one task at a time works on a partition, and batches come in order.
//
// Invariants:
// 1. A slot is one life of a key: it has the insertion number that the key got when it was put
//    while absent, and slots lie in the order of these numbers. A key that is removed and put
//    again gets a new slot; the old one is linked behind it.
// 2. A slot holds the base's value; each layer above that changed it adds a version, newest first.
// 3. The index finds the newest slot of a key.
// 4. A kept layer holds exactly the entries whose encoding differs from what lies below it.
// 5. A slot with due times, in the base or in a version, is filed under a time that is not after
//    any of them. Files may also name slots that have gone, or were filed again since: `filed_ms`
//    of the slot says which file counts.
// 6. An entry that the last sealed checkpoint does not have as it is in the base is in one of the
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

#include "common/plan/kernel.h"
#include "worker/executor/partition_state.h"
#include "worker/executor/slot_index.h"
#include "worker/executor/small_bytes.h"

namespace sluice {

class StateTable final : public PartitionState {
 public:
  StateTable();
  ~StateTable() override;
  StateTable(const StateTable&) = delete;
  StateTable& operator=(const StateTable&) = delete;

  void RestoreEntry(const StateRow& entry) override;
  void RestoreChange(const StateRow& entry) override;
  void FinishRestore(uint32_t parts) override;
  void OpenAttempt() override;
  bool attempt_open() const { return attempt_open_; }
  LayerDigest KeepAttempt(int64_t batch_ms) override;
  void DropAttempt() override;

  // KeyedState, within an attempt.
  std::optional<std::string_view> Get(std::string_view key) override;
  void Put(std::string_view key, std::string_view value) override { PutTimed(key, value, 0); }
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
  uint64_t size() const override { return visible_size_; }

  void MergeUpTo(int64_t batch_ms) override;
  void DropAbove(int64_t batch_ms) override;
  size_t layers() const { return layers_.size(); }
  void VisitNewestLayer(const EntryVisitor& visit) const override;

  uint64_t BeginSnapshot() override;
  bool VisitSome(uint32_t count, const EntryVisitor& visit) override;
  StateSnapshot EndSnapshot() override;
  bool ForgetSome(uint32_t count) override;
  void RestorePending() override;

  uint64_t base_bytes() const { return base_bytes_; }

 private:
  enum Base : uint8_t { kAbsent, kLive, kRemoved, kFree };
  enum Pending : uint8_t { kCurrent = 1, kWriting = 2 };
  static constexpr uint32_t kNone = internal::SlotIndex::kNone;
  static constexpr uint32_t kChunkBits = 10;
  static constexpr uint32_t kChunk = 1u << kChunkBits;

  struct alignas(64) Version {
    Version* older = nullptr;
    uint64_t hash = 0;      // of the key
    internal::SmallBytes value;
    int64_t timer_ms = 0;
    uint32_t slot = kNone;  // none: the version was no change after all
    uint32_t layer = 0;
    bool removed = false;
    bool doubtful = false;  // may be what lies below it
  };
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
  };
  static_assert(sizeof(Slot) == 64);
  // Versions do not move while they live; chunks are reused from batch to batch.
  struct Layer {
    int64_t batch_ms = 0;
    uint32_t serial = 0;
    uint64_t first_number = 0;  // state before the layer, to go back to
    uint64_t size_before = 0;
    uint32_t slots_before = 0;
    uint32_t count = 0;
    std::vector<std::unique_ptr<Version[]>> chunks;
    Version& version(uint32_t i) const { return chunks[i >> kChunkBits][i & (kChunk - 1)]; }
  };

  Slot& slot(uint32_t i) const { return slots_[i >> kChunkBits][i & (kChunk - 1)]; }
  static uint64_t EncodedBytes(const Slot& s) { return s.key.size() + s.value.size() + 16; }
  uint32_t Find(std::string_view key, uint64_t hash) const;
  uint32_t Former(uint32_t index) const;
  uint32_t DirectFormer(uint32_t index) const;
  void SetFormer(uint32_t index, uint32_t former);
  static uint64_t HashOf(const Slot& s);
  uint32_t NewSlot(std::string_view key, uint64_t hash, uint32_t former);
  Version& AddVersion(uint32_t index, uint64_t hash);
  void PutIn(uint32_t index, uint64_t hash, std::string_view key, std::string_view value,
             int64_t timer_ms);
  bool InAttempt(const Slot& s) const {
    return s.head != nullptr && s.head->layer == attempt_.serial;
  }
  static bool Visible(const Slot& s) {
    return s.head != nullptr ? !s.head->removed : s.base == kLive;
  }
  static int64_t VisibleTimer(const Slot& s) {
    if (!Visible(s)) return 0;
    return s.head != nullptr ? s.head->timer_ms : s.timer_ms;
  }
  static int64_t EarliestTimer(const Slot& s);
  void File(uint32_t index, int64_t timer_ms);
  std::vector<uint32_t> TakeFilesBefore(int64_t before_ms);
  void RenameFiled(const std::vector<uint32_t>& place);
  bool IsChange(const Version& version) const;
  void Unlink(Version& version);
  void DropLayer(Layer& layer);
  void ReleaseLayer(Layer& layer);
  void MergeLayer(Layer& layer);
  void MergeVersion(Version& version);
  void FreeIfDead(uint32_t index);
  void FreeSlot(uint32_t index);
  void MarkPending(uint32_t index);
  bool EndsKey(uint32_t index) const;
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
  uint64_t next_number_ = 1;
  uint64_t visible_size_ = 0;
  uint64_t base_bytes_ = 0;

  std::vector<Layer> layers_;  // oldest first
  Layer attempt_;
  bool attempt_open_ = false;
  uint32_t next_serial_ = 1;
  std::vector<std::unique_ptr<Version[]>> spare_chunks_;

  std::map<int64_t, std::vector<uint32_t>> files_;  // slots that may be due after each time

  std::vector<uint32_t> current_;  // slots with pending changes
  std::vector<uint32_t> writing_;  // the same, of the checkpoint in progress
  uint64_t pending_bytes_ = 0;     // of the slots in current_
  StateSnapshot snapshot_;
  bool visiting_ = false;          // between BeginSnapshot and EndSnapshot
  uint32_t visit_at_ = 0;          // the next: a slot of a whole snapshot, a place in current_
  uint32_t visit_end_ = 0;
  bool has_sealed_ = false;        // some sealed checkpoint has this partition
  uint64_t increment_bytes_ = 0;   // of sealed parts since the last whole one
  uint32_t chain_parts_ = 0;
  uint64_t restored_bytes_ = 0;
};

}  // namespace sluice
