#include "driver/api/state.h"

namespace sluice::internal {

UpdateKeysOperator::UpdateKeysOperator(IdleKeys idle_keys,
                                       std::shared_ptr<const InitialState> initial,
                                       ValueGroups::TakeKey take_key)
    : idle_keys_(idle_keys), initial_(std::move(initial)), take_key_(take_key) {}
UpdateKeysOperator::~UpdateKeysOperator() = default;

void UpdateKeysOperator::Run(const OperatorContext& context, std::span<const Share> shares,
                             RecordBatch& out) {
  UserState state(*context.state);
  if (state.Begin()) initial_->PutInto(state, context, 0);
  RecordBatch* const emitted = context.emits ? &out : nullptr;
  groups_.Gather(shares, take_key_);
  const auto& groups = groups_.entries();
  done_.assign(groups.size(), false);
  if (idle_keys_ == IdleKeys::kCall) {
    state.ForEach([&](std::string_view key, std::string_view bytes) {
      const Group* group = groups_.Find(key);
      if (group != nullptr) done_[group - groups.data()] = true;
      Update(state, key, state.Visited(), bytes, group, emitted);
    });
  }
  const bool prefetches = idle_keys_ == IdleKeys::kSkip && state.prefetches();
  for (size_t i = 0; i < groups.size(); ++i) {
    if (prefetches && i % kPiece == 0) PrefetchFrom(i, state);
    state.FetchAt(fetch_, i, groups.size(), [&](size_t at, std::string& key) {
      key += groups_.KeyOf(groups[at]);
    });
    if (done_[i]) continue;
    const std::string_view key = groups_.KeyOf(groups[i]);
    UserState::Place place;
    const std::string_view before = state.Look(key, groups[i].hash, place);
    Update(state, key, place, before, &groups[i], emitted);
  }
}

void UpdateKeysOperator::PrefetchFrom(size_t begin, UserState& state) const {
  uint64_t hashes[kPiece];
  const size_t count = std::min(kPiece, groups_.entries().size() - begin);
  for (size_t i = 0; i < count; ++i) hashes[i] = groups_.entries()[begin + i].hash;
  state.Prefetch(hashes, count);
}

}  // namespace sluice::internal
