#include "driver/api/window_state.h"

#include <cstring>
#include <stdexcept>

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

void HeldBatches::Save() {
  if (!changed_) return;
  if (times_.empty()) return state_.Remove(list_key_);
  state_.Put(list_key_, {reinterpret_cast<const char*>(times_.data()),
                         times_.size() * sizeof(int64_t)});
}

}  // namespace sluice::internal
