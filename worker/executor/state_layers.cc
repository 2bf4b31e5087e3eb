// State tables: layers of undecided batches, and the life of slots.
#include <algorithm>

#include "worker/executor/state_table.h"

namespace sluice {

// Takes the version out of its slot's chain.
void StateTable::Unlink(Version& version) {
  Version** at = &slot(version.slot).head;
  while (*at != &version) at = &(*at)->older;
  *at = version.older;
  version.slot = kNone;
  version.value.Clear();
}

// A slot of which nothing is left: put and removed within one layer, or dropped.
void StateTable::FreeIfDead(uint32_t index) {
  const Slot& s = slot(index);
  if (s.head == nullptr && s.pending == 0 && (s.base == kAbsent || s.base == kRemoved)) {
    FreeSlot(index);
  }
}

uint32_t StateTable::DirectFormer(uint32_t index) const {
  return slot(index).has_former ? formers_.at(index) : kNone;
}

void StateTable::SetFormer(uint32_t index, uint32_t former) {
  if (slot(index).has_former) formers_.erase(index);
  slot(index).has_former = former != kNone;
  if (former != kNone) formers_[index] = former;
}

// The life of the key before this one that is still kept. Free slots keep their links.
uint32_t StateTable::Former(uint32_t index) const {
  uint32_t former = DirectFormer(index);
  while (former != kNone && slot(former).base == kFree) former = DirectFormer(former);
  return former;
}

void StateTable::FreeSlot(uint32_t index) {
  Slot& s = slot(index);
  const uint64_t hash = HashOf(s);
  if (Find(s.key.view(), hash) == index) {
    const uint32_t former = Former(index);
    if (former != kNone) {
      index_.Replace(hash, index, former);
    } else {
      index_.Erase(hash, index);
    }
  }
  s.key.Clear();
  s.value.Clear();
  s.filed_ms = 0;
  s.base = kFree;
  ++free_slots_;
}

// Takes back everything that the top layer did.
void StateTable::DropLayer(Layer& layer) {
  for (uint32_t i = layer.count; i-- > 0;) {
    Version& version = layer.version(i);
    if (version.slot != kNone) Unlink(version);
  }
  // Newest first, so that the index goes back through the lives of a key.
  while (slot_count_ > layer.slots_before) {
    const uint32_t last = slot_count_ - 1;
    if (slot(last).base != kFree) FreeSlot(last);
    --free_slots_;
    --slot_count_;
  }
  next_number_ = layer.first_number;
  visible_size_ = layer.size_before;
  ReleaseLayer(layer);
}

void StateTable::ReleaseLayer(Layer& layer) {
  for (auto& chunk : layer.chunks) spare_chunks_.push_back(std::move(chunk));
  layer = Layer{};
}

void StateTable::DropAbove(int64_t batch_ms) {
  while (!layers_.empty() && layers_.back().batch_ms > batch_ms) {
    DropLayer(layers_.back());
    layers_.pop_back();
  }
}

void StateTable::VisitNewestLayer(const EntryVisitor& visit) const {
  const Layer& layer = layers_.back();
  for (uint32_t i = 0; i < layer.count; ++i) {
    const Version& version = layer.version(i);
    if (version.slot == kNone || (version.removed && !EndsKey(version.slot))) continue;
    const Slot& s = slot(version.slot);
    visit({s.key.view(), version.value.view(), s.number, version.timer_ms, version.removed});
  }
}

void StateTable::MergeUpTo(int64_t batch_ms) {
  size_t merged = 0;
  while (merged < layers_.size() && layers_[merged].batch_ms <= batch_ms) {
    MergeLayer(layers_[merged++]);
  }
  layers_.erase(layers_.begin(), layers_.begin() + merged);
}

void StateTable::MergeLayer(Layer& layer) {
  for (uint32_t i = 0; i < layer.count; ++i) {
    if (i + kAhead < layer.count && layer.version(i + kAhead).slot != kNone) {
      PrefetchSlot(layer.version(i + kAhead).slot);
    }
    Version& version = layer.version(i);
    if (version.slot != kNone) MergeVersion(version);
  }
  ReleaseLayer(layer);
}

// The version is the oldest of its slot.
void StateTable::MergeVersion(Version& version) {
  const uint32_t index = version.slot;
  Slot& s = slot(index);
  if (s.base == kLive) base_bytes_ -= EncodedBytes(s);
  if ((s.pending & kCurrent) != 0) pending_bytes_ -= EncodedBytes(s);
  std::swap(s.value, version.value);  // the old value's memory goes back with the chunk
  s.timer_ms = version.timer_ms;
  s.base = version.removed ? kRemoved : kLive;
  if (s.base == kLive) base_bytes_ += EncodedBytes(s);
  Unlink(version);
  if ((s.pending & kCurrent) != 0) pending_bytes_ += EncodedBytes(s);
  MarkPending(index);
}

void StateTable::MarkPending(uint32_t index) {
  Slot& s = slot(index);
  if ((s.pending & kCurrent) != 0) return;
  s.pending |= kCurrent;
  current_.push_back(index);
  pending_bytes_ += EncodedBytes(s);
}

// Moves what lives together, in order. No attempt is open.
void StateTable::Compact() {
  std::unordered_map<uint32_t, uint32_t> formers;
  for (const auto& [index, direct] : formers_) {
    const uint32_t former = Former(index);
    if (slot(index).base != kFree && former != kNone) formers[index] = former;
  }
  formers_.clear();
  std::vector<uint32_t> place(slot_count_, kNone);
  uint32_t used = 0;
  for (uint32_t i = 0; i < slot_count_; ++i) {
    if (slot(i).base == kFree) {
      slot(i).has_former = false;
      continue;
    }
    place[i] = used;
    if (i != used) {
      slot(used) = std::move(slot(i));
      slot(i).base = kFree;
      slot(i).has_former = false;
      slot(i).head = nullptr;
    }
    slot(used).has_former = false;
    ++used;
  }
  for (const auto& [index, former] : formers) SetFormer(place[index], place[former]);
  index_.Clear();
  for (uint32_t i = 0; i < used; ++i) {
    Slot& s = slot(i);
    for (Version* v = s.head; v != nullptr; v = v->older) v->slot = i;
    const uint32_t former = DirectFormer(i);
    if (former != kNone) {
      index_.Replace(HashOf(s), former, i);
    } else {
      index_.Insert(HashOf(s), i);
    }
  }
  RenameFiled(place);
  for (std::vector<uint32_t>* pending : {&current_, &writing_}) {
    for (uint32_t& index : *pending) index = place[index];
  }
  for (Layer& layer : layers_) {
    layer.slots_before = static_cast<uint32_t>(
        std::count_if(place.begin(), place.begin() + layer.slots_before,
                      [](uint32_t to) { return to != kNone; }));
  }
  slot_count_ = used;
  free_slots_ = 0;
  slots_.resize((uint64_t{used} + kChunk - 1) >> kChunkBits);
}

}  // namespace sluice
