// State tables: layers of undecided batches, and the life of slots.
#include <algorithm>
#include <utility>

#include "worker/executor/state_table.h"

namespace sluice {

// The slot is again as it was below the layer, which is the newest one to change it.
void StateTable::TakeBack(Undo& undo) {
  Slot& s = slot(undo.owner);
  std::swap(s.value, undo.value);
  undo.value.Clear();
  s.timer_ms = undo.timer_ms;
  s.life = undo.was_live ? kLive : kAbsent;
  s.newest = undo.older;
  s.doubtful = 0;
  undo.owner = kNone;
}

const StateTable::Undo& StateTable::At(const Link& link) const {
  if (link.layer == attempt_.serial) return attempt_.record(link.place);
  const Layer* layer = &layers_.back();
  while (layer->serial != link.layer) --layer;
  return layer->record(link.place);
}

StateTable::InBase StateTable::BaseOf(const Slot& s) const {
  if (Merged(s.newest)) return {static_cast<Life>(s.life), s.value.view(), s.timer_ms};
  const Undo* undo = &At(s.newest);
  while (!Merged(undo->older)) undo = &At(undo->older);
  return {undo->was_live ? kLive : kAbsent, undo->value.view(), undo->timer_ms};
}

// A slot of which nothing is left: put and removed within one layer, or dropped.
void StateTable::FreeIfDead(uint32_t index) {
  const Slot& s = slot(index);
  if (Merged(s.newest) && (s.life == kAbsent || s.life == kRemoved) && !IsPending(index)) {
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
  while (former != kNone && slot(former).life == kFree) former = DirectFormer(former);
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
  s.life = kFree;
  ++free_slots_;
}

// Newest first, so that the index goes back through the lives of a key.
void StateTable::LayerDropped(uint64_t first_number) {
  while (slot_count_ > 0 && slot(slot_count_ - 1).number >= first_number) {
    const uint32_t last = slot_count_ - 1;
    if (slot(last).life != kFree) FreeSlot(last);
    --free_slots_;
    --slot_count_;
  }
}

// The oldest layer. Slots are not touched: they have its changes.
void StateTable::MergeLayer(Layer& layer) {
  for (uint32_t i = 0; i < layer.count; ++i) {
    Undo& undo = layer.record(i);
    if (undo.owner == kNone) continue;
    undo.value.Clear();
    if (undo.was_live) base_bytes_ -= undo.bytes_before;
    if (!undo.removes) base_bytes_ += undo.bytes_after;
    pending_bytes_ += undo.bytes_after;
    if (!current_.Insert(undo.owner)) pending_bytes_ -= undo.bytes_before;
    if (undo.removes) removed_.push_back(undo.owner);
  }
  merged_ = layer.serial;
}

void StateTable::MarkPending(uint32_t index) {
  const Slot& s = slot(index);
  const InBase base = BaseOf(s);
  if (current_.Insert(index)) pending_bytes_ += s.key.size() + base.value.size() + kEntryBytes;
}

// Serials count from 1 again. No attempt is open.
void StateTable::NumberLayersAnew() {
  const auto renumber = [this](Link& link) {
    link.layer = Merged(link) ? 0 : link.layer - merged_;
  };
  for (uint32_t i = 0; i < slot_count_; ++i) renumber(slot(i).newest);
  for (Layer& layer : layers_) {
    for (uint32_t i = 0; i < layer.count; ++i) renumber(layer.record(i).older);
    layer.serial -= merged_;
  }
  next_serial_ -= merged_;
  merged_ = 0;
}

// Moves what lives together, in order. No attempt is open.
void StateTable::Compact() {
  std::unordered_map<uint32_t, uint32_t> formers;
  for (const auto& [index, direct] : formers_) {
    const uint32_t former = Former(index);
    if (slot(index).life != kFree && former != kNone) formers[index] = former;
  }
  formers_.clear();
  std::vector<uint32_t> place(slot_count_, kNone);
  uint32_t used = 0;
  for (uint32_t i = 0; i < slot_count_; ++i) {
    if (slot(i).life == kFree) {
      slot(i).has_former = false;
      continue;
    }
    place[i] = used;
    if (i != used) {
      slot(used) = std::move(slot(i));
      slot(i).life = kFree;
      slot(i).has_former = false;
    }
    slot(used).has_former = false;
    ++used;
  }
  for (const auto& [index, former] : formers) SetFormer(place[index], place[former]);
  index_.Clear();
  for (uint32_t i = 0; i < used; ++i) {
    Slot& s = slot(i);
    const uint32_t former = DirectFormer(i);
    if (former != kNone) {
      index_.Replace(HashOf(s), former, i);
    } else {
      index_.Insert(HashOf(s), i);
    }
  }
  RenameFiled(place);
  for (internal::SlotSet* pending : {&current_, &writing_}) {
    const internal::SlotSet before = std::exchange(*pending, {});
    before.ForEach([&](uint32_t index) { pending->Insert(place[index]); });
  }
  for (std::vector<uint32_t>* removed : {&removed_, &removed_writing_}) {
    for (uint32_t& index : *removed) index = place[index];
  }
  for (Layer& layer : layers_) {
    for (uint32_t i = 0; i < layer.count; ++i) {
      Undo& undo = layer.record(i);
      if (undo.owner != kNone) undo.owner = place[undo.owner];
    }
  }
  slot_count_ = used;
  free_slots_ = 0;
  slots_.KeepBelow(used);
}

}  // namespace sluice
