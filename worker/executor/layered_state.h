// What both kinds of table do alike (state_table.h, disk_table.h): a layer of changes for each
// batch that is not decided, oldest first, at most one attempt on top, and the account of what
// sealed checkpoints have. The table keeps the base, and what is called an owner here: a key, or
// one life of it, which the table numbers. What a layer records of an owner is the table's too: in
// memory the newest entry is at hand and a record says what was below; on disk the base's is, and a
// record has what was put on top.
//
// Invariants:
// 1. A layer has at most one record of each owner.
// 2. A kept layer has exactly the entries whose encoding differs from what lies below it.
// 3. Insertion numbers ascend from layer to layer. Those that a dropped layer gave are given again.
// 4. So do the serials of layers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "common/fault_point.h"
#include "common/key_hash.h"
#include "worker/executor/partition_state.h"
#include "worker/executor/slot_index.h"
#include "worker/executor/small_bytes.h"
#include "worker/executor/state_hash.h"

namespace sluice::internal {

// Records do not move while they live; chunks are reused from batch to batch.
template <class Record>
struct Layer {
  static constexpr uint32_t kChunkBits = 10;
  static constexpr uint32_t kChunk = 1u << kChunkBits;
  static constexpr uint32_t kNotOpen = UINT32_MAX;  // above all serials

  int64_t batch_ms = 0;
  uint32_t serial = kNotOpen;
  uint64_t first_number = 0;  // state before the layer, to go back to
  uint64_t size_before = 0;
  uint32_t count = 0;
  std::vector<std::unique_ptr<Record[]>> chunks;
  Record& record(uint32_t i) const { return chunks[i >> kChunkBits][i & (kChunk - 1)]; }
};

// What an entry that was put, or removed, adds to the digest of its layer.
inline uint64_t PutDigest(uint64_t hash, std::string_view value, int64_t timer_ms) {
  return MixHash(hash, KeyHash(value) + 2 * timer_ms + 1);
}
inline uint64_t RemovalDigest(uint64_t hash) { return MixHash(hash, 0x5bd1e995u); }

// A record has its `owner`, none if it was no change after all. `Table` is the class that derives
// from this. It has, for this class to use:
//   void BeforeAttempt();
//   LayerDigest Settle(): of the attempt, which is kept: what is no change is no record any more;
//   void TakeBack(Record&): the record is the newest of its owner, and is one no more;
//   void LayerDropped(uint64_t first_number): by all that;
//   void MergeLayer(Layer&): each record of it is the oldest of its owner, and is used up;
//   void LayersMerged(uint64_t end_number);
//   bool EndsKey(uint32_t owner) const: if that is removed, so is its key;
//   StateRow RowOf(const Record&) const: the entry as the newest layer left it;
//   kSpareChunks, of records that it keeps memory for.
template <class Table, class Record>
class LayeredState : public PartitionState {
 public:
  // Where it is inlined for a short literal GCC 12 warns of bytes that are never read.
  [[gnu::noinline]] std::optional<std::string_view> Get(std::string_view key) final {
    KeyedState::Place place;
    const std::string_view value = table().Look(key, KeyHash(key), place);
    return value.data() != nullptr ? std::optional(value) : std::nullopt;
  }
  void Put(std::string_view key, std::string_view value) final { table().PutTimed(key, value, 0); }
  uint64_t size() const final { return visible_size_; }

  void OpenAttempt() final {
    table().BeforeAttempt();
    attempt_.serial = next_serial_++;
    attempt_.first_number = next_number_;
    attempt_.size_before = visible_size_;
  }
  LayerDigest KeepAttempt(int64_t batch_ms) final {
    attempt_.batch_ms = batch_ms;
    const LayerDigest digest = table().Settle();
    layers_.push_back(std::exchange(attempt_, Layer()));
    return digest;
  }
  void DropAttempt() final { DropLayer(attempt_); }
  void MergeUpTo(int64_t batch_ms) final;
  void DropAbove(int64_t batch_ms) final {
    while (!layers_.empty() && layers_.back().batch_ms > batch_ms) {
      DropLayer(layers_.back());
      layers_.pop_back();
    }
  }
  void VisitNewestLayer(const EntryVisitor& visit) const final {
    const Layer& layer = layers_.back();
    for (uint32_t i = 0; i < layer.count; ++i) {
      const Record& record = layer.record(i);
      if (record.owner == kNone) continue;
      const StateRow row = table().RowOf(record);
      if (!row.removed || table().EndsKey(record.owner)) visit(row);
    }
  }

 protected:
  using Layer = internal::Layer<Record>;
  static constexpr uint32_t kNone = SlotIndex::kNone;
  static constexpr uint64_t kIncrementsMin = 16;
  static constexpr uint64_t kIncrementsMax = 128;
  static constexpr uint64_t kBytesPerIncrement = 32 << 10;

  // The attempt's next. What is in it is the caller's to fill.
  Record& AddRecord() {
    const uint32_t i = attempt_.count++;
    if ((i >> Layer::kChunkBits) == attempt_.chunks.size()) {
      if (spare_chunks_.empty()) {
        spare_chunks_.push_back(std::make_unique<Record[]>(Layer::kChunk));
      }
      attempt_.chunks.push_back(std::move(spare_chunks_.back()));
      spare_chunks_.pop_back();
    }
    return attempt_.record(i);
  }
  bool attempt_open() const { return attempt_.serial != Layer::kNotOpen; }

  // Of a checkpoint that begins, whether it has to write all (docs/formats.md, “Manifest”):
  // increments have outgrown the base, or are more than a restore should read for a base of that
  // size, which itself is in `base_parts`.
  bool WritesAll(bool any_changes, uint64_t base_parts) const {
    const uint64_t parts_max =
        base_parts + std::clamp(base_bytes_ / kBytesPerIncrement, kIncrementsMin, kIncrementsMax);
    const bool long_chain = chain_parts_ >= parts_max ||
                            increment_bytes_ + pending_bytes_ > base_bytes_ ||
                            Fires(FaultPoint::kTableWhole);
    return !has_sealed_ || (any_changes && long_chain);
  }
  // The snapshot, in so many parts, is sealed. Once for each.
  void CountSealed(uint32_t parts) {
    const StateSnapshot sealed = std::exchange(snapshot_, {});
    if (!sealed.written) return;
    increment_bytes_ = sealed.whole ? 0 : increment_bytes_ + sealed.bytes;
    chain_parts_ = sealed.whole ? parts : chain_parts_ + parts;
    has_sealed_ = true;
  }
  // The base was read from a chain of parts.
  void CountRestored(uint32_t parts) {
    has_sealed_ = parts > 0;
    chain_parts_ = parts;
    increment_bytes_ = restored_bytes_ > base_bytes_ ? restored_bytes_ - base_bytes_ : 0;
  }

  std::vector<Layer> layers_;  // oldest first
  Layer attempt_;
  uint32_t next_serial_ = 1;
  uint64_t next_number_ = 1;
  uint64_t visible_size_ = 0;
  uint64_t base_bytes_ = 0;
  uint64_t pending_bytes_ = 0;     // of what the next checkpoint has to write
  uint64_t restored_bytes_ = 0;
  bool has_sealed_ = false;        // some sealed checkpoint has this partition
  StateSnapshot snapshot_;         // of the checkpoint in progress

 private:
  Table& table() { return static_cast<Table&>(*this); }
  const Table& table() const { return static_cast<const Table&>(*this); }
  void DropLayer(Layer& layer);
  void ReleaseLayer(Layer& layer);

  std::vector<std::unique_ptr<Record[]>> spare_chunks_;
  uint64_t increment_bytes_ = 0;   // of sealed parts since the last whole one
  uint64_t chain_parts_ = 0;
};

// Takes back everything that the top layer did.
template <class Table, class Record>
void LayeredState<Table, Record>::DropLayer(Layer& layer) {
  for (uint32_t i = layer.count; i-- > 0;) {
    Record& record = layer.record(i);
    if (record.owner != kNone) table().TakeBack(record);
  }
  table().LayerDropped(layer.first_number);
  next_number_ = layer.first_number;
  visible_size_ = layer.size_before;
  ReleaseLayer(layer);
}

template <class Table, class Record>
void LayeredState<Table, Record>::ReleaseLayer(Layer& layer) {
  for (auto& chunk : layer.chunks) {
    if (spare_chunks_.size() < Table::kSpareChunks) spare_chunks_.push_back(std::move(chunk));
  }
  layer = Layer();
}

template <class Table, class Record>
void LayeredState<Table, Record>::MergeUpTo(int64_t batch_ms) {
  size_t merged = 0;
  while (merged < layers_.size() && layers_[merged].batch_ms <= batch_ms) {
    table().MergeLayer(layers_[merged]);
    ReleaseLayer(layers_[merged++]);
  }
  if (merged == 0) return;
  layers_.erase(layers_.begin(), layers_.begin() + merged);
  table().LayersMerged(layers_.empty() ? next_number_ : layers_.front().first_number);
}

}  // namespace sluice::internal
