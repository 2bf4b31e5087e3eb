// State tables: attempts. Layers, due times and checkpoints are in state_layers.cc,
// state_timers.cc and state_snapshot.cc.
#include "worker/executor/state_table.h"

#include <algorithm>

#include "common/key_hash.h"

namespace sluice {

StateTable::StateTable() = default;
StateTable::~StateTable() = default;

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
  if ((index >> kChunkBits) == slots_.size()) slots_.push_back(std::make_unique<Slot[]>(kChunk));
  Slot& s = slot(index);
  s.number = next_number_++;
  s.key.Assign(key);
  s.timer_ms = 0;
  s.filed_ms = 0;
  s.head = nullptr;
  s.base = kAbsent;
  s.pending = 0;
  SetFormer(index, former);
  if (former == kNone) {
    index_.Insert(hash, index);
  } else {
    index_.Replace(hash, former, index);
  }
  return index;
}

void StateTable::BeforeAttempt() {
  visited_ = kNone;
  if (free_slots_ > kChunk && free_slots_ > slot_count_ / 2 && !visiting_) Compact();
}

// Cells, then the slots that they name, then their versions: each step asks for all at once.
void StateTable::Prefetch(std::span<const uint64_t> hashes) {
  constexpr size_t kMost = 64;
  uint32_t likely[kMost];
  hashes = hashes.first(std::min(hashes.size(), kMost));
  for (const uint64_t hash : hashes) index_.Prefetch(hash);
  for (size_t i = 0; i < hashes.size(); ++i) {
    likely[i] = index_.Likely(hashes[i]);
    if (likely[i] != kNone) PrefetchSlot(likely[i]);
  }
  for (size_t i = 0; i < hashes.size(); ++i) {
    if (likely[i] != kNone) __builtin_prefetch(slot(likely[i]).head);
  }
}

std::string_view StateTable::Look(std::string_view key, uint64_t hash, Place& place) {
  const uint32_t index = Find(key, hash);
  place = {.hash = hash, .slot = index, .known = true};
  if (index == kNone) return {};
  Slot& s = slot(index);
  if (!Visible(s)) return {};
  if (s.head == nullptr) return s.value.view();
  if (InAttempt(s)) {
    s.head->doubtful = true;
    place.value = s.head->value.data();
  }
  return s.head->value.view();
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

// `index`: the key's newest slot, or none. `hash` 0: not known.
void StateTable::PutIn(uint32_t index, uint64_t hash, std::string_view key,
                       std::string_view value, int64_t timer_ms) {
  if (index == kNone || !Visible(slot(index))) {
    if (hash == 0) hash = KeyHash(key);
    index = NewSlot(key, hash, index);
    ++visible_size_;
  }
  Slot& s = slot(index);
  if (InAttempt(s)) {
    s.head->doubtful = true;
  } else {
    if (s.head != nullptr ? s.head->timer_ms == timer_ms && s.head->value.Equals(value)
                          : s.base == kLive && s.timer_ms == timer_ms && s.value.Equals(value)) {
      return;
    }
    AddVersion(index, hash != 0 ? hash : KeyHash(key), s.number);
  }
  s.head->value.Assign(value);
  s.head->timer_ms = timer_ms;
  if (timer_ms != 0) File(index, timer_ms);
}

void StateTable::Remove(std::string_view key) {
  const uint64_t hash = KeyHash(key);
  const uint32_t index = Find(key, hash);
  if (index == kNone || !Visible(slot(index))) return;
  Slot& s = slot(index);
  Version& version = InAttempt(s) ? *s.head : AddVersion(index, hash, s.number);
  version.removed = true;
  version.doubtful = true;
  version.value.Clear();
  version.timer_ms = 0;
  --visible_size_;
}

void StateTable::ForEach(const Visitor& visit) {
  const uint32_t end = slot_count_;
  for (uint32_t first = 0; first < end; first += kChunk) {
    Slot* const chunk = slots_[first >> kChunkBits].get();
    const uint32_t count = std::min(kChunk, end - first);
    for (uint32_t i = 0; i < count; ++i) {
      const Slot& s = chunk[i];
      if (!Visible(s)) continue;
      visited_ = first + i;
      visit(s.key.view(), VisibleValue(s));
    }
  }
  visited_ = kNone;
}

// Whether the slot is the last life of its key that is still there at the top.
bool StateTable::EndsKey(uint32_t index) const {
  const Slot& s = slot(index);
  const uint32_t newest = Find(s.key.view(), HashOf(s));
  return newest == index || !Visible(slot(newest));
}

}  // namespace sluice
