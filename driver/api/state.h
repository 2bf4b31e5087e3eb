// State per key: UpdateStateByKey.
#pragma once

#include "driver/api/dstream.h"
#include "driver/api/shuffle.h"
#include "driver/api/user_state.h"

namespace sluice::internal {

// The state holds one entry per key: canonical key bytes -> encoded S.
template <class K, class V, class S, class F>
class UpdateStateOperator final : public PartitionOperator {
 public:
  using Initial = std::vector<std::pair<K, S>>;
  UpdateStateOperator(F f, IdleKeys idle_keys, std::shared_ptr<const Initial> initial)
      : f_(std::move(f)), idle_keys_(idle_keys), initial_(std::move(initial)) {}

  // First the keys that have state, in the order in which they got it; then new keys, in the order
  // of their first value. With kSkip: keys with values only, in that order.
  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override {
    UserState state(*context.state);
    if (state.Begin()) PutInitial(*initial_, context, 0, state);
    groups_.Gather(shares, TakeKeyField<K>);
    const auto& groups = groups_.entries();
    done_.assign(groups.size(), false);
    if (idle_keys_ == IdleKeys::kCall) {
      state.ForEach([&](std::string_view key, std::string_view bytes) {
        const Group* group = groups_.Find(key);
        if (group != nullptr) done_[group - groups.data()] = true;
        Update(state, key, state.Visited(), bytes, group, context.emits ? &out : nullptr);
      });
    }
    const bool prefetches = idle_keys_ == IdleKeys::kSkip && state.prefetches();
    for (size_t i = 0; i < groups.size(); ++i) {
      if (prefetches && i % kPiece == 0) PrefetchFrom(i, state);
      state.FetchAt(fetch_, i, groups.size(), [&](size_t at, std::string& out) {
        out += groups_.KeyOf(groups[at]);
      });
      if (done_[i]) continue;
      const std::string_view key = groups_.KeyOf(groups[i]);
      UserState::Place place;
      const std::string_view before = state.Look(key, groups[i].hash, place);
      Update(state, key, place, before, &groups[i], context.emits ? &out : nullptr);
    }
  }
  uint32_t output_fixed_size() const override { return kFixedSize<std::pair<K, S>>; }
  bool spreads() const override { return true; }
  void TakeOver(const Spreading& spreading, KeyedState& former, KeyedState& to) override {
    TakeOverUserState(spreading, former, to);
  }

 private:
  using Group = ValueGroups::Entry;
  static constexpr size_t kPiece = 32;  // keys that are asked for at once
  using T = std::pair<K, V>;

  void PrefetchFrom(size_t begin, UserState& state) const {
    uint64_t hashes[kPiece];
    const size_t count = std::min(kPiece, groups_.entries().size() - begin);
    for (size_t i = 0; i < count; ++i) hashes[i] = groups_.entries()[begin + i].hash;
    state.Prefetch({hashes, count});
  }

  void Update(UserState& state, std::string_view key, const UserState::Place& place,
              std::string_view before, const Group* group, RecordBatch* out) {
    values_.clear();
    View<V> value{};
    if (group != nullptr) {
      groups_.ForEachValue(group->value, [&](std::string_view bytes) {
        DecodeField<V>(bytes, value);
        values_.push_back(ToOwned(std::as_const(value)));
      });
    }
    const std::optional<S> after = Call(key, DecodeState<S>(before));
    if (!after.has_value()) {
      if (before.data() != nullptr) state.Remove(key);
      return;
    }
    if (out != nullptr) PutPair<K, S>(key, *after, *out);
    state.PutAt(place, key, EncodeState<S>(*after, encoded_));
  }

  std::optional<S> Call(std::string_view key, std::optional<S> before) {
    const std::span<const V> values(values_);
    if constexpr (PlainUpdateFunction<F, T, S>) {
      return f_(values, std::move(before));
    } else if constexpr (TimedUpdateFunction<F, T, S, View<K>>) {
      return f_(BatchTime(), DecodeKey<K>(key), values, std::move(before));
    } else {
      AssignOwned(key_, DecodeKey<K>(key));
      return f_(BatchTime(), std::as_const(key_), values, std::move(before));
    }
  }

  const F f_;
  const IdleKeys idle_keys_;
  const std::shared_ptr<const Initial> initial_;
  ValueGroups groups_;
  std::vector<char> done_;  // groups whose key had state
  std::vector<V> values_;
  K key_{};
  std::string encoded_;
  StateFetch fetch_;
};

template <class T, class Chain>
struct States {
  using K = KeyOf<T>;
  using V = ValueOf<T>;

  template <class Declared, class F>
  static auto Update(const DStream<T, Chain>& s, std::string name, F f,
                     StateOptions<K, StateOf<F, Declared>> options) {
    using S = StateOf<F, Declared>;
    using Initial = std::vector<std::pair<K, S>>;
    const auto& graph = StreamAccess::graph(s);
    return StreamAccess::Stream<std::pair<K, S>>(
        graph,
        graph->AddShuffle(
            {.label = "UpdateStateByKey",
             .record_type = RecordName<std::pair<K, S>>,
             .parent = StreamAccess::parent(s),
             .chain = &StreamAccess::operators(s),
             .shuffle = MakeShuffle<RouteByKeyKernel<Chain, K, V>>(StreamAccess::chain(s)),
             .partition_operator = MakeOperator<UpdateStateOperator<K, V, S, F>>(
                 std::move(f), options.idle_keys,
                 std::make_shared<const Initial>(std::move(options.initial_state))),
             .partitions = Partitioning::Of<K>(options),
             .state_name = std::move(name),
             .state_type = RecordName<K>() + " -> " + RecordName<S>(),
             .name_in_label = true}));
  }
};

}  // namespace sluice::internal
