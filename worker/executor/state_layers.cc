// State tables: layers of undecided batches, and the life of slots.
#include <algorithm>

#include "worker/executor/state_table.h"

namespace sluice {

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

// Newest first, so that the index goes back through the lives of a key.
void StateTable::LayerDropped(uint64_t first_number) {
  while (slot_count_ > 0 && slot(slot_count_ - 1).number >= first_number) {
    const uint32_t last = slot_count_ - 1;
    if (slot(last).base != kFree) FreeSlot(last);
    --free_slots_;
    --slot_count_;
  }
}

void StateTable::MergeLayer(Layer& layer) {
  for (uint32_t i = 0; i < layer.count; ++i) {
    if (i + kAhead < layer.count && layer.version(i + kAhead).owner != kNone) {
      PrefetchSlot(layer.version(i + kAhead).owner);
    }
    Version& version = layer.version(i);
    if (version.owner != kNone) MergeVersion(version);
  }
}

// The version is the oldest of its slot.
void StateTable::MergeVersion(Version& version) {
  const uint32_t index = version.owner;
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
    for (Version* v = s.head; v != nullptr; v = v->older) v->owner = i;
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
  slot_count_ = used;
  free_slots_ = 0;
  slots_.resize((uint64_t{used} + kChunk - 1) >> kChunkBits);
}

}  // namespace sluice
