// State tables: attempts. Layers, due times and checkpoints are in state_layers.cc,
// state_timers.cc and state_snapshot.cc.
#include "worker/executor/state_table.h"

#include <algorithm>

#include "common/key_hash.h"
#include "worker/executor/state_hash.h"

namespace sluice {

using internal::MixHash;

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

StateTable::Version& StateTable::AddVersion(uint32_t index, uint64_t hash) {
  const uint32_t i = attempt_.count++;
  if ((i >> kChunkBits) == attempt_.chunks.size()) {
    if (spare_chunks_.empty()) spare_chunks_.push_back(std::make_unique<Version[]>(kChunk));
    attempt_.chunks.push_back(std::move(spare_chunks_.back()));
    spare_chunks_.pop_back();
  }
  Version& version = attempt_.version(i);
  Slot& s = slot(index);
  version.older = s.head;
  version.hash = hash;
  version.slot = index;
  version.layer = attempt_.serial;
  version.timer_ms = 0;
  version.removed = false;
  version.doubtful = false;
  s.head = &version;
  return version;
}

void StateTable::OpenAttempt() {
  visited_ = kNone;
  if (free_slots_ > kChunk && free_slots_ > slot_count_ / 2 && !visiting_) Compact();
  attempt_open_ = true;
  attempt_.serial = next_serial_++;
  attempt_.first_number = next_number_;
  attempt_.size_before = visible_size_;
  attempt_.slots_before = slot_count_;
  attempt_.count = 0;
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

std::optional<std::string_view> StateTable::Get(std::string_view key) {
  Place place;
  const std::string_view value = Look(key, KeyHash(key), place);
  return value.data() != nullptr ? std::optional(value) : std::nullopt;
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
    AddVersion(index, hash != 0 ? hash : KeyHash(key));
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
  Version& version = InAttempt(s) ? *s.head : AddVersion(index, hash);
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
      visit(s.key.view(), s.head != nullptr ? s.head->value.view() : s.value.view());
    }
  }
  visited_ = kNone;
}

// Whether the version differs from what lies below it.
bool StateTable::IsChange(const Version& version) const {
  const Slot& s = slot(version.slot);
  const Version* below = version.older;
  const bool was_there = below != nullptr ? !below->removed : s.base == kLive;
  if (version.removed || !was_there) return version.removed == was_there;
  const std::string_view old = below != nullptr ? below->value.view() : s.value.view();
  const int64_t old_timer = below != nullptr ? below->timer_ms : s.timer_ms;
  return version.timer_ms != old_timer || version.value.view() != old;
}

LayerDigest StateTable::KeepAttempt(int64_t batch_ms) {
  LayerDigest result;
  attempt_.batch_ms = batch_ms;
  for (uint32_t i = 0; i < attempt_.count; ++i) {
    Version& version = attempt_.version(i);
    if (version.doubtful && !IsChange(version)) {
      const uint32_t index = version.slot;
      Unlink(version);
      FreeIfDead(index);
      continue;
    }
    // A key that was removed and put again counts once, as put.
    if (version.removed && !EndsKey(version.slot)) continue;
    const uint64_t content =
        version.removed ? 0x5bd1e995u : KeyHash(version.value.view()) + 2 * version.timer_ms + 1;
    result.digest += MixHash(version.hash, content);
    ++result.entries;
  }
  attempt_open_ = false;
  layers_.push_back(std::move(attempt_));
  attempt_ = Layer{};
  return result;
}

// Whether the slot is the last life of its key that is still there at the top.
bool StateTable::EndsKey(uint32_t index) const {
  const Slot& s = slot(index);
  const uint32_t newest = Find(s.key.view(), HashOf(s));
  return newest == index || !Visible(slot(newest));
}

void StateTable::DropAttempt() {
  attempt_open_ = false;
  DropLayer(attempt_);
}

}  // namespace sluice
