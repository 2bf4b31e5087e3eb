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

uint32_t StateTable::Find(std::string_view key, uint64_t hash) const {
  return index_.Find(hash, [&](uint32_t i) {
    const Slot& s = slot(i);
    return s.hash == hash && s.key.view() == key;
  });
}

uint32_t StateTable::NewSlot(std::string_view key, uint64_t hash, uint32_t former) {
  const uint32_t index = slot_count_++;
  if ((index >> kChunkBits) == slots_.size()) slots_.push_back(std::make_unique<Slot[]>(kChunk));
  Slot& s = slot(index);
  s.hash = hash;
  s.number = next_number_++;
  s.key.Assign(key);
  s.timer_ms = 0;
  s.filed_ms = 0;
  s.head = nullptr;
  s.former = former;
  s.base = kAbsent;
  s.pending = 0;
  if (former == kNone) {
    index_.Insert(hash, index);
  } else {
    index_.Replace(hash, former, index);
  }
  return index;
}

StateTable::Version& StateTable::AddVersion(uint32_t index) {
  const uint32_t i = attempt_.count++;
  if ((i >> kChunkBits) == attempt_.chunks.size()) {
    if (spare_chunks_.empty()) spare_chunks_.push_back(std::make_unique<Version[]>(kChunk));
    attempt_.chunks.push_back(std::move(spare_chunks_.back()));
    spare_chunks_.pop_back();
  }
  Version& version = attempt_.version(i);
  Slot& s = slot(index);
  version.older = s.head;
  version.slot = index;
  version.layer = attempt_.serial;
  version.timer_ms = 0;
  version.removed = false;
  s.head = &version;
  return version;
}

void StateTable::OpenAttempt() {
  if (free_slots_ > kChunk && free_slots_ > slot_count_ / 2) Compact();
  attempt_open_ = true;
  attempt_.serial = next_serial_++;
  attempt_.first_number = next_number_;
  attempt_.size_before = visible_size_;
  attempt_.slots_before = slot_count_;
  attempt_.count = 0;
}

void StateTable::PrefetchSlot(uint32_t i) const {
  const char* at = reinterpret_cast<const char*>(&slot(i));
  __builtin_prefetch(at);
  __builtin_prefetch(at + sizeof(Slot) - 1);
}

void StateTable::Prefetch(std::string_view key) {
  const uint64_t hash = KeyHash(key);
  index_.Prefetch(hash);
  const uint32_t likely = index_.Likely(std::exchange(ahead_[ahead_at_], hash));
  ahead_at_ = (ahead_at_ + 1) % kAhead;
  if (likely != kNone) PrefetchSlot(likely);
}

std::optional<std::string_view> StateTable::Get(std::string_view key) {
  const uint32_t index = Find(key, KeyHash(key));
  if (index == kNone) return std::nullopt;
  const Slot& s = slot(index);
  if (!Visible(s)) return std::nullopt;
  return s.head != nullptr ? s.head->value.view() : s.value.view();
}

void StateTable::PutTimed(std::string_view key, std::string_view value, int64_t timer_ms) {
  const uint64_t hash = KeyHash(key);
  uint32_t index = Find(key, hash);
  if (index == kNone || !Visible(slot(index))) {
    index = NewSlot(key, hash, index);
    ++visible_size_;
  }
  Slot& s = slot(index);
  if (!InAttempt(s)) {
    if (s.head != nullptr ? s.head->timer_ms == timer_ms && s.head->value.view() == value
                          : s.base == kLive && s.timer_ms == timer_ms && s.value.view() == value) {
      return;
    }
    AddVersion(index);
  }
  s.head->value.Assign(value);
  s.head->timer_ms = timer_ms;
  File(index, timer_ms);
}

void StateTable::Remove(std::string_view key) {
  const uint32_t index = Find(key, KeyHash(key));
  if (index == kNone || !Visible(slot(index))) return;
  Slot& s = slot(index);
  Version& version = InAttempt(s) ? *s.head : AddVersion(index);
  version.removed = true;
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
      visit(s.key.view(), s.head != nullptr ? s.head->value.view() : s.value.view());
    }
  }
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
    if (i + kAhead < attempt_.count) PrefetchSlot(attempt_.version(i + kAhead).slot);
    Version& version = attempt_.version(i);
    if (!IsChange(version)) {
      const uint32_t index = version.slot;
      Unlink(version);
      FreeIfDead(index);
      continue;
    }
    const Slot& s = slot(version.slot);
    // A key that was removed and put again counts once, as put.
    if (version.removed && !EndsKey(version.slot)) continue;
    const uint64_t content =
        version.removed ? 0x5bd1e995u : KeyHash(version.value.view()) + 2 * version.timer_ms + 1;
    result.digest += MixHash(s.hash, content);
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
  const uint32_t newest = Find(s.key.view(), s.hash);
  return newest == index || !Visible(slot(newest));
}

void StateTable::DropAttempt() {
  attempt_open_ = false;
  DropLayer(attempt_);
}

}  // namespace sluice
