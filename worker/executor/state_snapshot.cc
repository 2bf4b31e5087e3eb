// State tables: what checkpoints write and restore.
#include <algorithm>

#include "common/key_hash.h"
#include "worker/executor/state_table.h"

namespace sluice {

uint64_t StateTable::BeginSnapshot() {
  RestorePending();  // of a checkpoint that nobody ended
  snapshot_ = StateSnapshot{};
  snapshot_.whole = WritesAll(!current_.empty(), 1);
  visiting_ = true;
  visit_at_ = 0;
  visit_end_ = snapshot_.whole ? slot_count_ : static_cast<uint32_t>(current_.size());
  return visit_end_;
}

bool StateTable::VisitSome(uint32_t count, const EntryVisitor& visit) {
  const uint32_t end = visit_at_ + std::min(count, visit_end_ - visit_at_);
  for (; visit_at_ < end; ++visit_at_) {
    if (!snapshot_.whole && visit_at_ + kAhead < end) PrefetchSlot(current_[visit_at_ + kAhead]);
    const uint32_t index = snapshot_.whole ? visit_at_ : current_[visit_at_];
    if (index >= slot_count_) {  // what lay behind was dropped, and was not in the base
      visit_at_ = visit_end_;
      break;
    }
    Slot& s = slot(index);
    if ((s.pending & kCurrent) != 0) s.pending = kWriting;
    if (s.base == kLive || (!snapshot_.whole && EndsInBase(index))) {
      visit({s.key.view(), s.value.view(), s.number, s.timer_ms, s.base != kLive});
      ++snapshot_.entries;
      snapshot_.bytes += EncodedBytes(s);
    }
  }
  return visit_at_ == visit_end_;
}

// Of a removed entry: whether it is the key's last life in the base. A removal is written once.
bool StateTable::EndsInBase(uint32_t index) const {
  const Slot& s = slot(index);
  uint32_t last = Find(s.key.view(), HashOf(s));
  while (slot(last).base == kAbsent) last = Former(last);
  return last == index;
}

StateSnapshot StateTable::EndSnapshot() {
  visiting_ = false;
  snapshot_.written = snapshot_.entries > 0 || (has_sealed_ && !current_.empty());
  writing_.swap(current_);
  pending_bytes_ = 0;
  return snapshot_;
}

bool StateTable::ForgetSome(uint32_t count) {
  CountSealed(1);
  for (; count > 0 && !writing_.empty(); --count) {
    if (writing_.size() > kAhead) PrefetchSlot(writing_[writing_.size() - 1 - kAhead]);
    const uint32_t index = writing_.back();
    writing_.pop_back();
    slot(index).pending &= ~kWriting;
    FreeIfDead(index);
  }
  return writing_.empty();
}

void StateTable::RestorePending() {
  for (const uint32_t index : writing_) {
    slot(index).pending &= ~kWriting;
    MarkPending(index);
  }
  writing_.clear();
  snapshot_ = StateSnapshot{};
}

void StateTable::RestoreEntry(const StateRow& entry) {
  const uint64_t hash = KeyHash(entry.key);
  uint32_t index = Find(entry.key, hash);
  if (index == kNone) {
    if (entry.removed) return;
    index = NewSlot(entry.key, hash, kNone);
  }
  Slot& s = slot(index);
  s.base = entry.removed ? kRemoved : kLive;
  s.number = entry.number;
  s.timer_ms = entry.timer_ms;
  s.value.Assign(entry.value);
  restored_bytes_ += EncodedBytes(s);
}

void StateTable::RestoreChange(const StateRow& entry) {
  const uint64_t bytes = restored_bytes_;
  RestoreEntry(entry);
  restored_bytes_ = bytes;
  const uint32_t index = Find(entry.key, KeyHash(entry.key));
  if (index != kNone) slot(index).pending = kCurrent;
}

void StateTable::FinishRestore(uint32_t parts) {
  SortRestored();
  base_bytes_ = 0;
  visible_size_ = 0;
  for (uint32_t i = 0; i < slot_count_; ++i) {
    Slot& s = slot(i);
    const bool changed = s.pending != 0;
    s.pending = 0;
    if (changed) MarkPending(i);
    if (s.base != kLive) continue;
    ++visible_size_;
    base_bytes_ += EncodedBytes(s);
    File(i, s.timer_ms);
  }
  CountRestored(parts);
  next_number_ = slot_count_ == 0 ? 1 : slot(slot_count_ - 1).number + 1;
}

void StateTable::SortRestored() {
  std::vector<uint32_t> order;
  order.reserve(slot_count_);
  for (uint32_t i = 0; i < slot_count_; ++i) {
    if (slot(i).base == kLive || slot(i).pending != 0) order.push_back(i);
  }
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return slot(a).number < slot(b).number; });
  std::vector<std::unique_ptr<Slot[]>> sorted((order.size() + kChunk - 1) >> kChunkBits);
  for (auto& chunk : sorted) chunk = std::make_unique<Slot[]>(kChunk);
  index_.Clear();
  index_.Reserve(order.size());
  for (uint32_t i = 0; i < order.size(); ++i) {
    Slot& to = sorted[i >> kChunkBits][i & (kChunk - 1)];
    to = std::move(slot(order[i]));
    index_.Insert(HashOf(to), i);
  }
  slots_ = std::move(sorted);
  slot_count_ = static_cast<uint32_t>(order.size());
  free_slots_ = 0;
}

}  // namespace sluice
