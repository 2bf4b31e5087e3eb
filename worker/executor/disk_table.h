// The keyed state of one stateful operator in one partition whose base is in a database on disk
// (docs/larger_state.md): the same entries, order, digests and checkpoints as state_table.h. In
// memory are the layers of undecided batches, and a bounded number of entries of the base.
//
// Not thread-safe, but that VisitSome may be called beside the rest.
//
// Invariants, beside those of its layers:
// 1. A node, which is what owns records, is one key, with the base's entry of it, which may be
//    that there is none, and its versions, newest first. A key without a node is as the base has
//    it.
// 2. The number of each entry of the base is below those of all that layers have put while absent.
//    So the base, then the keys `born` in layers, is the insertion order.
// 3. In the database the base is: each entry by key; its key by number; its key by due time and
//    number, if it has one; a mark for each key that was changed since the last checkpoint began,
//    by the epoch of that checkpoint.
// 4. After an error nothing is read or written any more.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "checkpoint/sorted_db.h"
#include "worker/executor/layered_state.h"

namespace sluice {
namespace internal {

// What a layer has of one key.
struct alignas(64) Version {
  Version* older = nullptr;
  uint64_t hash = 0;       // of the key
  SmallBytes value;
  uint64_t number = 0;     // insertion number
  int64_t timer_ms = 0;
  uint32_t owner = SlotIndex::kNone;  // its node
  uint32_t layer = 0;
  bool removed = false;
  bool doubtful = false;   // may be what lies below it
};
static_assert(sizeof(Version) == 64);

}  // namespace internal

class DiskTable final : public internal::LayeredState<DiskTable, internal::Version> {
 public:
  // `number` is the table's own among those of the database, which outlives it. `cached_bytes`: of
  // entries of the base that stay in memory from batch to batch. `part_bytes`: of entries in an
  // object of a checkpoint.
  DiskTable(SortedDb* db, uint32_t number, uint64_t cached_bytes,
            uint64_t part_bytes = uint64_t{16} << 20);
  ~DiskTable() override;  // drops what it has there
  DiskTable(const DiskTable&) = delete;
  DiskTable& operator=(const DiskTable&) = delete;

  void RestoreEntry(const StateRow& entry) override;
  void RestoreChange(const StateRow& entry) override;
  void FinishRestore(uint32_t parts) override;

  // KeyedState, within an attempt. These throw StateLost.
  void PutTimed(std::string_view key, std::string_view value, int64_t timer_ms) override;
  void Remove(std::string_view key) override;
  void ForEach(const Visitor& visit) override;
  void ForEachDue(int64_t before_ms, const Visitor& visit) override;
  std::string_view Look(std::string_view key, uint64_t hash, Place& place) override;
  void PutAt(const Place& place, std::string_view key, std::string_view value,
             int64_t timer_ms) override;
  Place Visited() const override { return {.slot = visited_, .known = visiting_}; }
  bool on_disk() const override { return true; }
  void Fetch(std::span<const std::string_view> keys) override;
  int64_t DueOf(std::string_view key) override;

  uint64_t BeginSnapshot() override;
  bool VisitSome(uint32_t count, const EntryVisitor& visit) override;
  StateSnapshot EndSnapshot() override;
  bool ForgetSome(uint32_t count) override;
  void RestorePending() override;
  bool visits_apart() const override { return true; }
  const std::string& error() const override { return error_; }

  // Reads of one key by itself, since the table was made.
  uint64_t single_reads() const { return single_reads_; }

 private:
  friend class internal::LayeredState<DiskTable, internal::Version>;
  using Version = internal::Version;

  enum Kind : char { kEntry = 'E', kOrder = 'N', kDue = 'T', kMark = 'C' };
  static constexpr size_t kSpareChunks = 16;
  static constexpr uint32_t kChunkBits = 8;
  static constexpr uint32_t kChunk = 1u << kChunkBits;
  static constexpr size_t kRowsAtOnce = 256;          // that a walk reads
  static constexpr uint64_t kBatchBytes = 1 << 20;    // of a merge that go to the database at once

  // An entry of the base. The key was last changed in the epoch.
  struct Entry {
    uint64_t number = 0;
    int64_t timer_ms = 0;
    uint32_t epoch = 0;
    bool live = false;
  };
  struct Node {
    uint64_t hash = 0;
    Version* head = nullptr;
    internal::SmallBytes key;
    internal::SmallBytes value;  // of the base
    Entry base;
  };
  // An entry of the base in a walk.
  struct Row {
    std::string key;
    std::string value;
    Entry entry;
  };

  // For the layers.
  void BeforeAttempt() { EvictIfMany(); }
  LayerDigest Settle();
  void TakeBack(Version& version) { Unlink(version); }
  void LayerDropped(uint64_t first_number);
  void MergeLayer(Layer& layer);
  void LayersMerged(uint64_t end_number);
  bool EndsKey(uint32_t) const { return true; }
  StateRow RowOf(const Version& v) const {
    return {node(v.owner).key.view(), v.value.view(), v.number, v.timer_ms, v.removed};
  }

  // Of a node, on top.
  static bool Visible(const Node& n) { return n.head != nullptr ? !n.head->removed : n.base.live; }
  static std::string_view VisibleValue(const Node& n) {
    return n.head != nullptr ? n.head->value.view() : n.value.view();
  }
  static int64_t VisibleTimer(const Node& n) {
    if (!Visible(n)) return 0;
    return n.head != nullptr ? n.head->timer_ms : n.base.timer_ms;
  }
  static uint64_t VisibleNumber(const Node& n) {
    return n.head != nullptr ? n.head->number : n.base.number;
  }
  bool InAttempt(const Node& n) const {
    return n.head != nullptr && n.head->layer == attempt_.serial;
  }

  // disk_table.cc: attempts.
  Node& node(uint32_t i) const { return nodes_[i >> kChunkBits][i & (kChunk - 1)]; }
  uint32_t Find(std::string_view key, uint64_t hash) const;
  uint32_t NodeOf(std::string_view key, uint64_t hash);
  uint32_t NewNode(std::string_view key, uint64_t hash);
  void ReadNode(uint32_t index);
  void SetBase(Node& n, std::string_view value, const Entry& entry);
  void EvictIfMany();
  void PutIn(uint32_t index, std::string_view value, int64_t timer_ms);
  Version& AddVersion(uint32_t index, uint64_t number);
  void Unlink(Version& version);
  bool IsChange(const Version& version) const;
  void ForgetUnborn();

  // disk_table_walks.cc: in insertion order, and by due time.
  bool ReadRows(SortedCursor& cursor, std::vector<Row>& rows);
  void VisitRow(const Row& row, const Visitor& visit);
  void VisitBorn(uint64_t end, const Visitor& visit);
  struct Due;
  void CollectDue(int64_t before_ms, std::vector<Due>& due);

  // disk_table_base.cc: what is in the database.
  std::string KeyOf(Kind kind, std::string_view rest = {}) const;
  std::string_view EntryKey(std::string_view key);
  std::string OrderKey(uint64_t number) const;
  std::string DueKey(int64_t timer_ms, uint64_t number) const;
  std::string MarkPrefix(uint32_t epoch) const;
  static void EncodeEntry(const Entry& entry, std::string_view value, std::string& out);
  static Entry DecodeEntry(std::string_view bytes, std::string_view& value);
  static uint64_t EncodedBytes(size_t key, size_t value) { return key + value + 16; }
  bool MergeVersion(Version& version);
  uint32_t PartsOf(uint64_t bytes, uint64_t entries) const;
  void DropMarks(const std::string& prefix);
  void WriteIfLarge(uint64_t most = kBatchBytes);
  void Restore(const StateRow& entry, uint32_t epoch);
  bool Ok(const absl::Status& status);
  void MustBeOk(const absl::Status& status);

  SortedDb* const db_;
  const std::string prefix_;  // of all its keys
  const uint64_t cached_bytes_;
  const uint64_t part_bytes_;
  std::string error_;
  std::unique_ptr<SortedBatch> batch_;
  std::string encoded_;
  std::string entry_key_;

  internal::SlotIndex index_;
  std::vector<std::unique_ptr<Node[]>> nodes_;
  std::vector<uint32_t> free_nodes_;
  uint64_t held_bytes_ = 0;  // of nodes, without versions
  const Row* row_ = nullptr;  // that a walk is at
  uint32_t visited_ = kNone;
  bool visiting_ = false;
  uint64_t single_reads_ = 0;

  uint64_t base_entries_ = 0;
  int64_t due_from_ms_ = 0;  // nothing in the base is due before

  // Numbers that layers have given, ascending, and to which nodes. Of the attempt there may be
  // further ones, which have no entry.
  std::deque<std::pair<uint64_t, uint32_t>> born_;

  uint32_t epoch_ = 1;           // of marks that are made now
  uint64_t marks_ = 0;           // made in it, at most
  uint32_t writing_epoch_ = 0;   // of the checkpoint in progress; 0: none
  uint64_t writing_marks_ = 0;
  uint64_t writing_bytes_ = 0;
  std::unique_ptr<SortedReads> snapshot_reads_;
  std::unique_ptr<SortedCursor> snapshot_walk_;
  absl::Status snapshot_status_;
  uint64_t highest_number_ = 0;   // of what was restored as a change
};

}  // namespace sluice
