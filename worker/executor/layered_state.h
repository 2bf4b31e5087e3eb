// What both kinds of table do alike (state_table.h, disk_table.h): a layer of changes for each
// batch that is not decided, oldest first, at most one attempt on top, and the account of what
// sealed checkpoints have. The table keeps the base, and what is called an owner here: a key, or
// one life of it, which the table numbers, with the head of a chain of versions.
//
// Invariants:
// 1. A chain has its versions newest first, at most one of each layer.
// 2. A kept layer holds exactly the entries whose encoding differs from what lies below it.
// 3. Insertion numbers ascend from layer to layer. Those that a dropped layer gave are given again.
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

// What a layer has of one owner.
struct alignas(64) Version {
  static constexpr uint32_t kNone = SlotIndex::kNone;

  Version* older = nullptr;
  uint64_t hash = 0;       // of the key
  SmallBytes value;
  uint64_t number = 0;     // insertion number
  int64_t timer_ms = 0;
  uint32_t owner = kNone;  // none: the version was no change after all
  uint32_t layer = 0;
  bool removed = false;
  bool doubtful = false;   // may be what lies below it
};
static_assert(sizeof(Version) == 64);

// Versions do not move while they live; chunks are reused from batch to batch.
struct Layer {
  static constexpr uint32_t kChunkBits = 10;
  static constexpr uint32_t kChunk = 1u << kChunkBits;

  int64_t batch_ms = 0;
  uint32_t serial = 0;
  uint64_t first_number = 0;  // state before the layer, to go back to
  uint64_t size_before = 0;
  uint32_t count = 0;
  std::vector<std::unique_ptr<Version[]>> chunks;
  Version& version(uint32_t i) const { return chunks[i >> kChunkBits][i & (kChunk - 1)]; }
};

// An entry as it is somewhere in a chain, or below it.
struct EntryView {
  bool there = false;
  std::string_view value = {};
  uint64_t number = 0;
  int64_t timer_ms = 0;
};

// `Table` is the class that derives from this. It has, for this class to use:
//   Version*& HeadOf(uint32_t owner); std::string_view KeyAt(uint32_t owner) const;
//   EntryView BaseOf(uint32_t owner) const;
//   void MergeLayer(Layer&): each version of it is the oldest of its owner, and is unlinked;
//   kSpareChunks, of versions that it keeps memory for;
// and what else it wants to be told of those that are declared here and do nothing.
template <class Table>
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
    attempt_open_ = true;
    attempt_.serial = next_serial_++;
    attempt_.first_number = next_number_;
    attempt_.size_before = visible_size_;
  }
  LayerDigest KeepAttempt(int64_t batch_ms) final;
  void DropAttempt() final {
    attempt_open_ = false;
    DropLayer(attempt_);
  }
  void MergeUpTo(int64_t batch_ms) final;
  void DropAbove(int64_t batch_ms) final {
    while (!layers_.empty() && layers_.back().batch_ms > batch_ms) {
      DropLayer(layers_.back());
      layers_.pop_back();
    }
  }
  void VisitNewestLayer(const EntryVisitor& visit) const final;

 protected:
  static constexpr uint32_t kNone = SlotIndex::kNone;
  static constexpr uint64_t kIncrementsMin = 16;
  static constexpr uint64_t kIncrementsMax = 128;
  static constexpr uint64_t kBytesPerIncrement = 32 << 10;

  void BeforeAttempt() {}
  void AttemptKept() {}
  void Dismissed(uint32_t /*owner*/) {}  // a version of it was no change
  bool EndsKey(uint32_t /*owner*/) const { return true; }  // if it is removed, so is its key
  void LayerDropped(uint64_t /*first_number*/) {}
  void LayersMerged(uint64_t /*end_number*/) {}

  // Of an owner as the table keeps it: `head`, `value`, and live(), timer() and insertion() of the
  // base.
  template <class Owner>
  static bool Visible(const Owner& o) {
    return o.head != nullptr ? !o.head->removed : o.live();
  }
  template <class Owner>
  static std::string_view VisibleValue(const Owner& o) {
    return o.head != nullptr ? o.head->value.view() : o.value.view();
  }
  template <class Owner>
  static int64_t VisibleTimer(const Owner& o) {
    if (!Visible(o)) return 0;
    return o.head != nullptr ? o.head->timer_ms : o.timer();
  }
  template <class Owner>
  static uint64_t VisibleNumber(const Owner& o) {
    return o.head != nullptr ? o.head->number : o.insertion();
  }
  template <class Owner>
  bool InAttempt(const Owner& o) const {
    return o.head != nullptr && o.head->layer == attempt_.serial;
  }

  // On top of its chain. What is in it is the caller's to fill.
  Version& AddVersion(uint32_t owner, uint64_t hash, uint64_t number);
  void Unlink(Version& version);
  const std::vector<Layer>& layers() const { return layers_; }
  const Layer& attempt() const { return attempt_; }
  bool attempt_open() const { return attempt_open_; }

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
  EntryView Below(const Version& version) const {
    const Version* const below = version.older;
    if (below == nullptr) return table().BaseOf(version.owner);
    return {!below->removed, below->value.view(), below->number, below->timer_ms};
  }
  bool IsChange(const Version& version) const;
  void DropLayer(Layer& layer);
  void ReleaseLayer(Layer& layer);

  std::vector<Layer> layers_;
  Layer attempt_;
  bool attempt_open_ = false;
  uint32_t next_serial_ = 1;
  std::vector<std::unique_ptr<Version[]>> spare_chunks_;
  uint64_t increment_bytes_ = 0;   // of sealed parts since the last whole one
  uint64_t chain_parts_ = 0;
};

template <class Table>
Version& LayeredState<Table>::AddVersion(uint32_t owner, uint64_t hash, uint64_t number) {
  const uint32_t i = attempt_.count++;
  if ((i >> Layer::kChunkBits) == attempt_.chunks.size()) {
    if (spare_chunks_.empty()) spare_chunks_.push_back(std::make_unique<Version[]>(Layer::kChunk));
    attempt_.chunks.push_back(std::move(spare_chunks_.back()));
    spare_chunks_.pop_back();
  }
  Version& version = attempt_.version(i);
  Version*& head = table().HeadOf(owner);
  version.older = head;
  version.hash = hash;
  version.number = number;
  version.owner = owner;
  version.layer = attempt_.serial;
  version.timer_ms = 0;
  version.removed = false;
  version.doubtful = false;
  head = &version;
  return version;
}

// Whether the version differs from what lies below it.
template <class Table>
bool LayeredState<Table>::IsChange(const Version& version) const {
  const EntryView below = Below(version);
  if (version.removed || !below.there) return version.removed == below.there;
  return version.number != below.number || version.timer_ms != below.timer_ms ||
         version.value.view() != below.value;
}

// A removed key's number is that of the life that ended. One that was removed and put again counts
// once, as put.
template <class Table>
LayerDigest LayeredState<Table>::KeepAttempt(int64_t batch_ms) {
  LayerDigest result;
  attempt_.batch_ms = batch_ms;
  for (uint32_t i = 0; i < attempt_.count; ++i) {
    Version& version = attempt_.version(i);
    if (version.doubtful && !IsChange(version)) {
      const uint32_t owner = version.owner;
      Unlink(version);
      table().Dismissed(owner);
      continue;
    }
    if (version.removed) {
      if (!table().EndsKey(version.owner)) continue;
      version.number = Below(version).number;
    }
    const uint64_t content =
        version.removed ? 0x5bd1e995u : KeyHash(version.value.view()) + 2 * version.timer_ms + 1;
    result.digest += MixHash(version.hash, content);
    ++result.entries;
  }
  table().AttemptKept();
  attempt_open_ = false;
  layers_.push_back(std::move(attempt_));
  attempt_ = Layer{};
  return result;
}

// Takes the version out of its chain.
template <class Table>
void LayeredState<Table>::Unlink(Version& version) {
  Version** at = &table().HeadOf(version.owner);
  while (*at != &version) at = &(*at)->older;
  *at = version.older;
  version.owner = kNone;
  version.value.Clear();
}

// Takes back everything that the top layer did.
template <class Table>
void LayeredState<Table>::DropLayer(Layer& layer) {
  for (uint32_t i = layer.count; i-- > 0;) {
    Version& version = layer.version(i);
    if (version.owner != kNone) Unlink(version);
  }
  table().LayerDropped(layer.first_number);
  next_number_ = layer.first_number;
  visible_size_ = layer.size_before;
  ReleaseLayer(layer);
}

template <class Table>
void LayeredState<Table>::ReleaseLayer(Layer& layer) {
  for (auto& chunk : layer.chunks) {
    if (spare_chunks_.size() < Table::kSpareChunks) spare_chunks_.push_back(std::move(chunk));
  }
  layer = Layer{};
}

template <class Table>
void LayeredState<Table>::MergeUpTo(int64_t batch_ms) {
  size_t merged = 0;
  while (merged < layers_.size() && layers_[merged].batch_ms <= batch_ms) {
    table().MergeLayer(layers_[merged]);
    ReleaseLayer(layers_[merged++]);
  }
  if (merged == 0) return;
  layers_.erase(layers_.begin(), layers_.begin() + merged);
  table().LayersMerged(layers_.empty() ? next_number_ : layers_.front().first_number);
}

template <class Table>
void LayeredState<Table>::VisitNewestLayer(const EntryVisitor& visit) const {
  const Layer& layer = layers_.back();
  for (uint32_t i = 0; i < layer.count; ++i) {
    const Version& version = layer.version(i);
    if (version.owner == kNone || (version.removed && !table().EndsKey(version.owner))) continue;
    visit({table().KeyAt(version.owner), version.value.view(), version.number, version.timer_ms,
           version.removed});
  }
}

}  // namespace sluice::internal
