#include "driver/api/window_state.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>

namespace sluice::internal {

int64_t WindowSpan::Cutoff(const TaskContext& context) const {
  const int64_t since_ms = context.batch_ms - context.zero_ms;
  const int64_t next_emit_ms =
      context.zero_ms + (since_ms + slide_ms - 1) / slide_ms * slide_ms;
  return next_emit_ms - length_ms;
}

HeldBatches::HeldBatches(KeyedState& state, char list_tag, char batch_tag)
    : state_(state), list_key_(1, list_tag), batch_tag_(batch_tag) {
  const auto list = state_.Get(list_key_);
  if (!list.has_value()) return;
  times_.resize(list->size() / sizeof(int64_t));
  std::memcpy(times_.data(), list->data(), times_.size() * sizeof(int64_t));
}

HeldBatches::~HeldBatches() = default;

std::string_view HeldBatches::EntryKey(int64_t time_ms) {
  key_.assign(1, batch_tag_);
  for (int shift = 56; shift >= 0; shift -= 8) {
    key_.push_back(static_cast<char>(time_ms >> shift));
  }
  return key_;
}

void HeldBatches::Add(int64_t time_ms, const RecordBatch& records) {
  encoded_.clear();
  EncodeBatch(records.view(), encoded_);
  state_.Put(EntryKey(time_ms), encoded_);
  times_.push_back(time_ms);
  changed_ = true;
}

void HeldBatches::AddOldest(int64_t time_ms, const RecordBatch& records) {
  Add(time_ms, records);
  times_.pop_back();
  times_.insert(times_.begin(), time_ms);
}

BatchView HeldBatches::Get(int64_t time_ms) {
  const auto encoded = state_.Get(EntryKey(time_ms));
  const auto batch = encoded.has_value() ? DecodeBatch(*encoded, offsets_) : std::nullopt;
  if (!batch.has_value()) {
    throw std::runtime_error("a window's batch is missing from its state or damaged: " +
                             std::to_string(time_ms));
  }
  return *batch;
}

void HeldBatches::RemoveOldest() {
  state_.Remove(EntryKey(times_.front()));
  times_.erase(times_.begin());
  changed_ = true;
}

void HeldBatches::RemoveNewest() {
  state_.Remove(EntryKey(times_.back()));
  times_.pop_back();
  changed_ = true;
}

void HeldBatches::MoveAllTo(HeldBatches& older) {
  if (times_.empty()) return;
  older.times_.insert(older.times_.end(), times_.begin(), times_.end());
  times_.clear();
  changed_ = older.changed_ = true;
}

void HeldBatches::Set(int64_t time_ms, const RecordBatch& records) {
  const auto at = std::lower_bound(times_.begin(), times_.end(), time_ms);
  if (at == times_.end() || *at != time_ms) times_.insert(at, time_ms);
  encoded_.clear();
  EncodeBatch(records.view(), encoded_);
  state_.Put(EntryKey(time_ms), encoded_);
  changed_ = true;
}

void HeldBatches::Save() {
  if (!changed_) return;
  if (times_.empty()) return state_.Remove(list_key_);
  state_.Put(list_key_, {reinterpret_cast<const char*>(times_.data()),
                         times_.size() * sizeof(int64_t)});
}

void TakeOverBatches(KeyedState& former, KeyedState& to, uint32_t fixed_size,
                     const PickRecords& pick) {
  HeldBatches from(former, 'M', 'B');
  HeldBatches held(to, 'M', 'B');
  const std::vector<int64_t> there = held.times();
  RecordBatch all(fixed_size);
  for (const int64_t time_ms : from.times()) {
    all.Clear();
    pick(from.Get(time_ms), all);
    if (all.empty()) continue;
    RecordBatch both(fixed_size);
    if (std::binary_search(there.begin(), there.end(), time_ms)) {
      AppendRecords(held.Get(time_ms), both);
    }
    AppendRecords(all.view(), both);
    held.Set(time_ms, both);
  }
  held.Save();
}

void JoinFronts(std::vector<TimedBatch> folds, KeyedState& to, uint32_t fixed_size) {
  HeldBatches held(to, 'N', 'F');
  std::map<int64_t, RecordBatch> here, there;
  std::set<int64_t> times;
  for (const int64_t time_ms : held.times()) {
    RecordBatch& batch = there.try_emplace(time_ms, fixed_size).first->second;
    AppendRecords(held.Get(time_ms), batch);
    times.insert(time_ms);
  }
  for (TimedBatch& fold : folds) {
    times.insert(fold.time_ms);
    here.try_emplace(fold.time_ms, std::move(fold.records));
  }
  for (const int64_t time_ms : times) {
    RecordBatch joined(fixed_size);
    for (const std::map<int64_t, RecordBatch>* side : {&there, &here}) {
      const auto next = side->lower_bound(time_ms);
      if (next != side->end()) AppendRecords(next->second.view(), joined);
    }
    held.Set(time_ms, joined);
  }
  held.Save();
}

}  // namespace sluice::internal
