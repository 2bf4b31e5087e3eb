// State per key: UpdateStateByKey.
#pragma once

#include "driver/api/dstream.h"
#include "driver/api/shuffle.h"
#include "driver/api/user_state.h"

namespace sluice::internal {

// UpdateStateByKey but for the types: which keys are called at a batch, and in what order.
class UpdateKeysOperator : public PartitionOperator {
 public:
  UpdateKeysOperator(IdleKeys idle_keys, std::shared_ptr<const InitialState> initial,
                     ValueGroups::TakeKey take_key);
  ~UpdateKeysOperator() override;

  // First the keys that have state, in the order in which they got it; then new keys, in the order
  // of their first value. With kSkip: keys with values only, in that order.
  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) final;
  bool spreads() const final { return true; }
  void TakeOver(const Spreading& spreading, KeyedState& former, KeyedState& to) final {
    TakeOverUserState(spreading, former, to);
  }

 protected:
  using Group = ValueGroups::Entry;
  // One key with its state, at `place`: data() null for none; and its values of this batch, or
  // null. `out` null: nothing is emitted.
  virtual void Update(UserState& state, std::string_view key, const UserState::Place& place,
                      std::string_view before, const Group* group, RecordBatch* out) = 0;
  const ValueGroups& groups() const { return groups_; }

 private:
  static constexpr size_t kPiece = 32;  // keys that are asked for at once

  void PrefetchFrom(size_t begin, UserState& state) const;

  const IdleKeys idle_keys_;
  const std::shared_ptr<const InitialState> initial_;
  const ValueGroups::TakeKey take_key_;
  ValueGroups groups_;
  std::vector<char> done_;  // groups whose key had state
  StateFetch fetch_;
};

// The state holds one entry per key: canonical key bytes -> encoded S.
template <class K, class V, class S, class F>
class UpdateStateOperator final : public UpdateKeysOperator {
 public:
  UpdateStateOperator(F f, IdleKeys idle_keys, std::shared_ptr<const InitialState> initial)
      : UpdateKeysOperator(idle_keys, std::move(initial), TakeKeyField<K>), f_(std::move(f)) {}

  uint32_t output_fixed_size() const override { return kFixedSize<std::pair<K, S>>; }

 private:
  using T = std::pair<K, V>;

  void Update(UserState& state, std::string_view key, const UserState::Place& place,
              std::string_view before, const Group* group, RecordBatch* out) override {
    values_.clear();
    View<V> value{};
    if (group != nullptr) {
      groups().ForEachValue(group->value, [&](std::string_view bytes) {
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
  std::vector<V> values_;
  K key_{};
  std::string encoded_;
};

template <class T, class Chain>
struct States {
  using K = KeyOf<T>;
  using V = ValueOf<T>;

  template <class Declared, class F>
  static auto Update(const DStream<T, Chain>& s, std::string name, F f,
                     StateOptions<K, StateOf<F, Declared>> options) {
    using S = StateOf<F, Declared>;
    using Operator = UpdateStateOperator<K, V, S, F>;
    return StreamAccess::Stream<std::pair<K, S>>(AddShuffleNode(
        StreamAccess::place(s),
        {.label = "UpdateStateByKey",
         .record_type = RecordName<std::pair<K, S>>,
         .shuffle = MakeShuffle<RouteByKeyKernel<Chain, K, V>>(StreamAccess::chain(s)),
         .partition_operator = MakeOperator<Operator>(std::move(f), options.idle_keys,
                                                      EncodeInitial(options.initial_state)),
         .partitions = Partitioning::Of<K>(options),
         .state_name = std::move(name),
         .state_type = StateType(RecordName<K>, RecordName<S>),
         .share_type = RecordName<std::pair<K, V>>,
         .name_in_label = true}));
  }
};

}  // namespace sluice::internal
