// CoGroup and the joins: two streams of pairs, matched by key within the batch. Keys of the left
// stream come first, in the order of their first records, then those that only the right one has;
// within a key the left values in order, and for each the right ones.
#pragma once

#include <optional>

#include "driver/api/dstream.h"
#include "driver/api/kernels.h"
#include "driver/api/shuffle.h"

namespace sluice::internal {

// The values by key of the two inputs of a partition. Untyped; borrows from the shares.
class JoinSides {
 public:
  void Gather(std::span<const Share> shares, ValueGroups::TakeKey take_key);
  const ValueGroups& left() const { return left_; }
  const ValueGroups& right() const { return right_; }

 private:
  ValueGroups left_, right_;
};

// A vector of the entry's values; empty without one.
template <class V>
void PutValues(const ValueGroups& groups, const ValueGroups::Entry* entry, std::string& out) {
  PutVarint(entry != nullptr ? entry->value.count : 0, out);
  if (entry == nullptr) return;
  View<V> value{};
  groups.ForEachValue(entry->value, [&](std::string_view bytes) {
    DecodeField<V>(bytes, value);  // checks what later readers rely on
    out.append(bytes);
  });
}

// (key, (all left values, all right values)) for each key that either side has.
template <class K, class V, class W>
class CoGroupOperator final : public PartitionOperator {
 public:
  void Run(const OperatorContext&, std::span<const Share> shares, RecordBatch& out) override {
    sides_.Gather(shares, TakeKeyField<K>);
    for (const auto& entry : sides_.left().entries()) {
      const std::string_view key = sides_.left().KeyOf(entry);
      Put(key, &entry, sides_.right().Find(key), out);
    }
    for (const auto& entry : sides_.right().entries()) {
      const std::string_view key = sides_.right().KeyOf(entry);
      if (sides_.left().Find(key) == nullptr) Put(key, nullptr, &entry, out);
    }
  }
  uint32_t output_fixed_size() const override { return 0; }

 private:
  void Put(std::string_view key, const ValueGroups::Entry* left, const ValueGroups::Entry* right,
           RecordBatch& out) const {
    PutKeyField<K>(key, out.bytes());
    PutValues<V>(sides_.left(), left, out.bytes());
    PutValues<W>(sides_.right(), right, out.bytes());
    CloseRecord(out);
  }

  JoinSides sides_;
};

// Which keys without a match are kept.
enum class Keep { kMatches, kLeft, kRight, kAll };

template <class K, class V, class W, Keep keep>
class JoinOperator final : public PartitionOperator {
  static constexpr bool kKeepsLeft = keep == Keep::kLeft || keep == Keep::kAll;
  static constexpr bool kKeepsRight = keep == Keep::kRight || keep == Keep::kAll;
  using Left = std::conditional_t<kKeepsRight, std::optional<V>, V>;
  using Right = std::conditional_t<kKeepsLeft, std::optional<W>, W>;

 public:
  using Out = std::pair<K, std::pair<Left, Right>>;

  void Run(const OperatorContext&, std::span<const Share> shares, RecordBatch& out) override {
    sides_.Gather(shares, TakeKeyField<K>);
    for (const auto& entry : sides_.left().entries()) {
      const std::string_view key = sides_.left().KeyOf(entry);
      const auto* match = sides_.right().Find(key);
      if (match == nullptr && !kKeepsLeft) continue;
      sides_.left().ForEachValue(entry.value, [&](std::string_view bytes) {
        DecodeField<V>(bytes, left_);
        row_.first = left_;
        PutWithRight(key, match, out);
      });
    }
    if constexpr (kKeepsRight) {
      row_.first = std::nullopt;
      for (const auto& entry : sides_.right().entries()) {
        const std::string_view key = sides_.right().KeyOf(entry);
        if (sides_.left().Find(key) == nullptr) PutWithRight(key, &entry, out);
      }
    }
  }
  uint32_t output_fixed_size() const override { return kFixedSize<Out>; }

 private:
  void PutWithRight(std::string_view key, const ValueGroups::Entry* match, RecordBatch& out) {
    if constexpr (kKeepsLeft) {
      if (match == nullptr) {
        row_.second = std::nullopt;
        return PutPair<K, std::pair<Left, Right>>(key, row_, out);
      }
    }
    sides_.right().ForEachValue(match->value, [&](std::string_view bytes) {
      DecodeField<W>(bytes, right_);
      row_.second = right_;
      PutPair<K, std::pair<Left, Right>>(key, row_, out);
    });
  }

  JoinSides sides_;
  View<V> left_{};
  View<W> right_{};
  std::pair<View<Left>, View<Right>> row_{};
};

template <class T, class Chain>
struct Joins {
  using S = DStream<T, Chain>;
  using K = KeyOf<T>;
  using V = ValueOf<T>;

  template <class U, class Other>
  static auto CoGroup(const S& s, const DStream<U, Other>& other, ShuffleOptions options) {
    if constexpr (Matches<U>()) {
      using W = ValueOf<U>;
      return Add<std::pair<K, std::pair<std::vector<V>, std::vector<W>>>>(
          s, other, "CoGroup", MakeOperator<CoGroupOperator<K, V, W>>(), options);
    }
  }

  template <class Stream>
  static auto Inner(const S& s, const Stream& other, ShuffleOptions options) {
    return Join<Keep::kMatches>(s, other, "Join", options);
  }
  template <class Stream>
  static auto LeftOuter(const S& s, const Stream& other, ShuffleOptions options) {
    return Join<Keep::kLeft>(s, other, "LeftOuterJoin", options);
  }
  template <class Stream>
  static auto RightOuter(const S& s, const Stream& other, ShuffleOptions options) {
    return Join<Keep::kRight>(s, other, "RightOuterJoin", options);
  }
  template <class Stream>
  static auto FullOuter(const S& s, const Stream& other, ShuffleOptions options) {
    return Join<Keep::kAll>(s, other, "FullOuterJoin", options);
  }

 private:
  template <Keep keep, class U, class Other>
  static auto Join(const S& s, const DStream<U, Other>& other, const char* label,
                   ShuffleOptions options) {
    if constexpr (Matches<U>()) {
      using Joined = JoinOperator<K, V, ValueOf<U>, keep>;
      return Add<typename Joined::Out>(s, other, label, MakeOperator<Joined>(), options);
    }
  }

  template <class U>
  static constexpr bool Matches() {
    constexpr bool kPairs = PairRecord<T> && PairRecord<U>;
    constexpr bool kOneKey = std::same_as<KeyOf<T>, KeyOf<U>>;
    static_assert(kPairs, "a join needs two streams of pairs (key, value)");
    static_assert(!kPairs || kOneKey, "a join needs two streams with the same type of key");
    return kPairs && kOneKey;
  }

  template <class Out, class U, class Other>
  static DStream<Out> Add(const S& s, const DStream<U, Other>& other, const char* label,
                          std::shared_ptr<const PartitionOperatorFactory> partition_operator,
                          ShuffleOptions options) {
    using Left = RouteByKeyKernel<Chain, K, V>;
    using Right = RouteByKeyKernel<Other, K, ValueOf<U>>;
    return StreamAccess::Stream<Out>(
        AddShuffleNode(StreamAccess::place(s),
                       {.label = label,
                        .record_type = RecordName<Out>,
                        .shuffle = MakeShuffle<Left>(StreamAccess::chain(s)),
                        .partition_operator = std::move(partition_operator),
                        .partitions = Partitioning::Of<K>(options),
                        .second = &StreamAccess::place(other),
                        .second_shuffle = MakeShuffle<Right>(StreamAccess::chain(other))}));
  }
};

}  // namespace sluice::internal
