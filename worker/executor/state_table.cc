// State tables: attempts. Layers, due times and checkpoints are in state_layers.cc,
// state_timers.cc and state_snapshot.cc.
#include "worker/executor/state_table.h"

#include <algorithm>
#include <utility>

#include "common/key_hash.h"

namespace sluice {

uint64_t StateTable::HashOf(const Slot& s) { return KeyHash(s.key.view()); }

uint32_t StateTable::Find(std::string_view key, uint64_t hash) const {
  if (internal::SmallBytes::IsInline(key)) {
    const internal::SmallBytes::Image image(key);
    return index_.Find(hash, [&](uint32_t i) { return slot(i).key.Equals(image); });
  }
  return index_.Find(hash, [&](uint32_t i) { return slot(i).key.view() == key; });
}

uint32_t StateTable::NewSlot(std::string_view key, uint64_t hash, uint32_t former) {
  const uint32_t index = slot_count_++;
  slots_.Reach(index);
  Slot& s = slot(index);
  s.number = next_number_++;
  s.key.Assign(key);
  s.timer_ms = 0;
  s.filed_ms = 0;
  s.newest = Link();
  s.life = kAbsent;
  s.doubtful = 0;
  SetFormer(index, former);
  if (former == kNone) {
    index_.Insert(hash, index);
  } else {
    index_.Replace(hash, former, index);
  }
  return index;
}

// What the slot is now; its value is taken by whoever changes it.
StateTable::Undo& StateTable::AddUndo(uint32_t index) {
  const uint32_t place = attempt_.count;
  Undo& undo = AddRecord();
  Slot& s = slot(index);
  undo.timer_ms = s.timer_ms;
  undo.older = s.newest;
  undo.owner = index;
  undo.bytes_before = static_cast<uint32_t>(EncodedBytes(s));
  undo.was_live = s.life == kLive;
  undo.removes = false;
  s.newest = {attempt_.serial, place};
  return undo;
}

void StateTable::BeforeAttempt() {
  visited_ = kNone;
  doubtful_.clear();
  digest_ = LayerDigest();
  if (free_slots_ > kFreeSlotsMany && free_slots_ > slot_count_ / 2 && !visiting_) Compact();
  if (next_serial_ > serials_) NumberLayersAnew();
}

// Cells, then the slots that they name: each step asks for all at once. Inlined: a compiler that
// calls a function which only prefetches may as well leave the call out.
__attribute__((always_inline)) inline void StateTable::AskFor(
    std::span<const uint64_t> hashes) const {
  for (const uint64_t hash : hashes) index_.Prefetch(hash);
  for (const uint64_t hash : hashes) {
    const uint32_t likely = index_.Likely(hash);
    if (likely != kNone) PrefetchSlot(likely);
  }
}

void StateTable::Prefetch(std::span<const uint64_t> hashes) { AskFor(hashes); }

void StateTable::LookAll(std::span<const std::string_view> keys, const uint64_t* hashes,
                         Found* found) {
  AskFor({hashes, keys.size()});
  for (size_t i = 0; i < keys.size(); ++i) {
    found[i].value = StateTable::Look(keys[i], hashes[i], found[i].place);
  }
}

void StateTable::PutAll(std::span<const Putting> entries, int64_t timer_ms) {
  for (const Putting& one : entries) {
    if (one.place.slot < slot_count_) PrefetchSlot(one.place.slot);
  }
  for (const Putting& one : entries) {
    StateTable::PutAt(one.place, one.key, one.value, timer_ms);
  }
}

std::string_view StateTable::Look(std::string_view key, uint64_t hash, Place& place) {
  const uint32_t index = Find(key, hash);
  place = {.hash = hash, .slot = index, .known = true};
  if (index == kNone) return {};
  Slot& s = slot(index);
  if (!Visible(s)) return {};
  if (InAttempt(s)) {
    Doubt(index, hash);
    place.value = s.value.data();
  }
  return s.value.view();
}

int64_t StateTable::DueOf(std::string_view key) {
  const uint32_t index = Find(key, KeyHash(key));
  return index == kNone ? 0 : VisibleTimer(slot(index));
}

void StateTable::PutTimed(std::string_view key, std::string_view value, int64_t timer_ms) {
  const uint64_t hash = KeyHash(key);
  PutIn(Find(key, hash), hash, key, value, timer_ms);
}

void StateTable::PutAt(const Place& place, std::string_view key, std::string_view value,
                       int64_t timer_ms) {
  if (!place.known) return PutTimed(key, value, timer_ms);
  // A visited entry comes without its hash, which only a change needs.
  PutIn(place.slot, place.hash, key, value, timer_ms);
}

// The slot, which the attempt has changed, may be changed further: it is looked at again when the
// attempt is kept. `hash` 0: not known.
void StateTable::Doubt(uint32_t index, uint64_t hash) {
  Slot& s = slot(index);
  if (s.doubtful) return;
  s.doubtful = 1;
  doubtful_.push_back(index);
  digest_.digest -= internal::PutDigest(hash != 0 ? hash : HashOf(s), s.value.view(), s.timer_ms);
  --digest_.entries;
}

// `index`: the key's newest slot, or none. `hash` 0: not known. `value` may be the slot's own.
void StateTable::PutIn(uint32_t index, uint64_t hash, std::string_view key,
                       std::string_view value, int64_t timer_ms) {
  if (index == kNone || !Visible(slot(index))) {
    if (hash == 0) hash = KeyHash(key);
    index = NewSlot(key, hash, index);
    ++visible_size_;
  }
  Slot& s = slot(index);
  const bool again = InAttempt(s);
  if (again) {
    Doubt(index, hash);
  } else {
    if (Visible(s) && s.timer_ms == timer_ms && s.value.Equals(value)) return;
    Undo& undo = AddUndo(index);
    if (!s.value.on_heap()) {
      undo.value.AssignInline(s.value);
    } else if (value.data() >= s.value.data() &&
               value.data() < s.value.data() + s.value.size()) {
      undo.value.Assign(s.value.view());
    } else {
      std::swap(undo.value, s.value);
    }
  }
  // Before the value is written: reading it back would wait for that.
  const uint64_t change =
      again ? 0 : internal::PutDigest(hash != 0 ? hash : HashOf(s), value, timer_ms);
  s.value.Assign(value);
  s.timer_ms = timer_ms;
  s.life = kLive;
  if (timer_ms != 0) File(index, timer_ms);
  if (again) return;
  attempt_.record(s.newest.place).bytes_after =
      static_cast<uint32_t>(s.key.size() + value.size() + kEntryBytes);
  digest_.digest += change;
  ++digest_.entries;
}

void StateTable::Remove(std::string_view key) {
  const uint64_t hash = KeyHash(key);
  const uint32_t index = Find(key, hash);
  if (index == kNone || !Visible(slot(index))) return;
  Slot& s = slot(index);
  if (InAttempt(s)) {
    Doubt(index, hash);
  } else {
    std::swap(AddUndo(index).value, s.value);
    s.doubtful = 1;
    doubtful_.push_back(index);
  }
  attempt_.record(s.newest.place).removes = true;
  s.value.Clear();
  s.timer_ms = 0;
  s.life = kRemoved;
  --visible_size_;
}

void StateTable::ForEach(const Visitor& visit) {
  const uint32_t end = slot_count_;
  for (uint32_t i = 0; i < end; ++i) {
    const Slot& s = slot(i);
    if (!Visible(s)) continue;
    visited_ = i;
    visit(s.key.view(), s.value.view());
  }
  visited_ = kNone;
}

// Whether the slot differs from what lay below the attempt.
bool StateTable::IsChange(const Undo& undo, const Slot& s) {
  if (undo.removes || !undo.was_live) return undo.removes == undo.was_live;
  return s.timer_ms != undo.timer_ms || s.value.view() != undo.value.view();
}

// What the attempt made of a doubtful slot counts, or is no change after all.
void StateTable::SettleSlot(uint32_t index, LayerDigest& digest) {
  Slot& s = slot(index);
  Undo& undo = attempt_.record(s.newest.place);
  s.doubtful = 0;
  if (!IsChange(undo, s)) {
    TakeBack(undo);
    return FreeIfDead(index);
  }
  undo.bytes_after = static_cast<uint32_t>(EncodedBytes(s));
  // A key that was removed and put again counts once, as put.
  if (undo.removes && !EndsKey(index)) return;
  digest.digest += undo.removes ? internal::RemovalDigest(HashOf(s))
                                : internal::PutDigest(HashOf(s), s.value.view(), s.timer_ms);
  ++digest.entries;
}

LayerDigest StateTable::Settle() {
  LayerDigest digest = digest_;
  for (size_t i = 0; i < doubtful_.size(); ++i) {
    if (i + 2 * kAhead < doubtful_.size()) PrefetchSlot(doubtful_[i + 2 * kAhead]);
    if (i + kAhead < doubtful_.size()) {
      __builtin_prefetch(&attempt_.record(slot(doubtful_[i + kAhead]).newest.place));
    }
    SettleSlot(doubtful_[i], digest);
  }
  return digest;
}

// Whether the slot is the last life of its key that is still there at the top.
bool StateTable::EndsKey(uint32_t index) const {
  const Slot& s = slot(index);
  const uint32_t newest = Find(s.key.view(), HashOf(s));
  return newest == index || !Visible(slot(newest));
}

StateRow StateTable::RowOf(const Undo& undo) const {
  const Slot& s = slot(undo.owner);
  return {s.key.view(), s.value.view(), s.number, s.timer_ms, undo.removes};
}

}  // namespace sluice
