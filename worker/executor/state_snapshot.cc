// State tables: what checkpoints write and restore.
#include <algorithm>
#include <utility>

#include "common/key_hash.h"
#include "worker/executor/state_table.h"

namespace sluice {

namespace {
constexpr uint32_t kVisitAhead = 32;  // slots that are asked for at once
}  // namespace

uint64_t StateTable::BeginSnapshot() {
  RestorePending();  // of a checkpoint that nobody ended
  snapshot_ = StateSnapshot{};
  snapshot_.whole = WritesAll(!current_.empty(), 1);
  writing_ = std::exchange(current_, {});
  removed_writing_ = std::exchange(removed_, {});
  pending_bytes_ = 0;
  visiting_ = true;
  visit_at_ = 0;
  visit_end_ = slot_count_;
  return snapshot_.whole ? slot_count_ : writing_.size();
}

bool StateTable::VisitSome(uint32_t count, const EntryVisitor& visit) {
  // What lay behind was dropped since, and was not in the base.
  visit_end_ = std::min(visit_end_, slot_count_);
  if (snapshot_.whole) {
    const uint32_t end = visit_at_ + std::min(count, visit_end_ - visit_at_);
    for (; visit_at_ < end; ++visit_at_) VisitSlot(visit_at_, visit);
    return visit_at_ >= visit_end_;
  }
  while (count > 0) {
    uint32_t next[kVisitAhead];
    const uint32_t most = std::min(count, kVisitAhead);
    const uint32_t found = writing_.Next(visit_at_, next, most);
    for (uint32_t i = 0; i < found; ++i) PrefetchSlot(next[i]);
    for (uint32_t i = 0; i < found; ++i) {
      const Link& newest = slot(next[i]).newest;
      if (!Merged(newest)) __builtin_prefetch(&At(newest));
    }
    for (uint32_t i = 0; i < found; ++i) VisitSlot(next[i], visit);
    if (found < most) return true;
    visit_at_ = next[found - 1] + 1;
    count -= found;
  }
  return false;
}

void StateTable::VisitSlot(uint32_t index, const EntryVisitor& visit) {
  const Slot& s = slot(index);
  if (s.life == kFree) return;
  const InBase base = BaseOf(s);
  if (base.life != kLive && (snapshot_.whole || !EndsInBase(index))) return;
  visit({s.key.view(), base.value, s.number, base.timer_ms, base.life != kLive});
  ++snapshot_.entries;
  snapshot_.bytes += s.key.size() + base.value.size() + kEntryBytes;
}

// Of a removed entry: whether it is the key's last life in the base. A removal is written once.
bool StateTable::EndsInBase(uint32_t index) const {
  const Slot& s = slot(index);
  uint32_t last = Find(s.key.view(), HashOf(s));
  while (BaseOf(slot(last)).life == kAbsent) last = Former(last);
  return last == index;
}

StateSnapshot StateTable::EndSnapshot() {
  visiting_ = false;
  snapshot_.written = snapshot_.entries > 0 || (has_sealed_ && !writing_.empty());
  return snapshot_;
}

bool StateTable::ForgetSome(uint32_t count) {
  CountSealed(1);
  for (; count > 0 && !removed_writing_.empty(); --count) {
    const uint32_t index = removed_writing_.back();
    removed_writing_.pop_back();
    writing_.Erase(index);
    FreeIfDead(index);
  }
  if (!removed_writing_.empty()) return false;
  writing_.Clear();
  return true;
}

void StateTable::RestorePending() {
  writing_.ForEach([this](uint32_t index) { MarkPending(index); });
  removed_.insert(removed_.end(), removed_writing_.begin(), removed_writing_.end());
  removed_writing_.clear();
  writing_.Clear();
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
  s.life = entry.removed ? kRemoved : kLive;
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
  if (index != kNone) current_.Insert(index);
}

void StateTable::FinishRestore(uint32_t parts) {
  SortRestored();
  base_bytes_ = 0;
  visible_size_ = 0;
  const internal::SlotSet changed = std::exchange(current_, {});
  changed.ForEach([this](uint32_t index) {
    MarkPending(index);
    if (slot(index).life == kRemoved) removed_.push_back(index);
  });
  for (uint32_t i = 0; i < slot_count_; ++i) {
    const Slot& s = slot(i);
    if (s.life != kLive) continue;
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
    if (slot(i).life == kLive || current_.Contains(i)) order.push_back(i);
  }
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return slot(a).number < slot(b).number; });
  internal::SlotChunks<Slot> sorted;
  if (!order.empty()) sorted.Reach(static_cast<uint32_t>(order.size()) - 1);
  index_.Clear();
  index_.Reserve(order.size());
  const internal::SlotSet changed = std::exchange(current_, {});
  for (uint32_t i = 0; i < order.size(); ++i) {
    Slot& to = sorted[i];
    to = std::move(slot(order[i]));
    index_.Insert(HashOf(to), i);
    if (changed.Contains(order[i])) current_.Insert(i);
  }
  slots_ = std::move(sorted);
  slot_count_ = static_cast<uint32_t>(order.size());
  free_slots_ = 0;
}

}  // namespace sluice
