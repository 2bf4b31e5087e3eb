// CombineByKey: values folded into an accumulator of another type.
#pragma once

#include "driver/api/dstream.h"
#include "driver/api/kernels.h"
#include "driver/api/shuffle.h"

namespace sluice::internal {

// The accumulator that `create` makes of a value.
template <class Create, class V>
using CombinerOf = Own<std::remove_cvref_t<RowResult<Create, View<V>>>>;

template <class F, class C, class R>
concept MergeFunction =
    (std::invocable<const F&, const C&, const R&> &&
     std::convertible_to<std::invoke_result_t<const F&, const C&, const R&>, C>) ||
    (std::invocable<const F&, const C&, const Own<R>&> &&
     std::convertible_to<std::invoke_result_t<const F&, const C&, const Own<R>&>, C>);

// Values of type V, fed as rows, into accumulators C by keys of type K.
template <class K, class V, class Create, class Merge>
class CombinerTable {
 public:
  using C = CombinerOf<Create, V>;
  CombinerTable(Create create, Merge merge)
      : create_(std::move(create)), merge_(std::move(merge)) {}

  void Clear() { table_.Clear(); }
  template <class Row>
  void Add(std::string_view key, const Row& value) {
    bool added;
    C& combiner = table_.FindOrAdd(key, added).value;
    if (added) {
      RowCaller<Create, Row> call(create_);
      combiner = ToOwned(call(value));
    } else if constexpr (std::invocable<const Merge&, const C&, const Row&>) {
      combiner = Call(merge_, combiner, value);
    } else {
      AssignOwned(scratch_, value);
      combiner = Call(merge_, combiner, scratch_);
    }
  }
  const KeyTable<K, C>& table() const { return table_; }

 private:
  const Create create_;
  const Merge merge_;
  KeyTable<K, C> table_;
  V scratch_{};
};

// Combines within the task; shares hold accumulators in the order of the keys' first rows.
template <class Chain, class K, class V, class Create, class Merge>
class CombineByKeyKernel final : public ShuffleKernel {
 public:
  using C = CombinerOf<Create, V>;
  CombineByKeyKernel(Chain chain, Create create, Merge merge)
      : chain_(std::move(chain)), combiners_(std::move(create), std::move(merge)) {}

  void Run(const TaskContext& context, std::span<const BatchView> input,
           uint32_t partitions) override {
    combiners_.Clear();
    chain_.Drive(context, input, [&](const auto& row) {
      combiners_.Add(KeyBytes<K>(row.first, scratch_), row.second);
    });
    shares_.Start(context, partitions, kFixedSize<std::pair<K, C>>);
    const auto& table = combiners_.table();
    for (const auto& entry : table.entries()) {
      const std::string_view key = table.KeyOf(entry);
      PutPair<K, C>(key, entry.value, shares_.OfKey(key, entry.hash));
    }
  }
  std::span<const RecordBatch> shares() const override { return shares_.get(); }

 private:
  Chain chain_;
  CombinerTable<K, V, Create, Merge> combiners_;
  Shares shares_;
  std::string scratch_;
};

// Combines all values of a partition, which come as they are.
template <class K, class V, class Create, class Merge>
class CombineValuesOperator final : public PartitionOperator {
 public:
  using C = CombinerOf<Create, V>;
  CombineValuesOperator(Create create, Merge merge)
      : combiners_(std::move(create), std::move(merge)) {}

  void Run(const OperatorContext&, std::span<const Share> shares, RecordBatch& out) override {
    combiners_.Clear();
    for (const Share& share : shares) {
      ForEachPair<K, V>(share.records, [&](std::string_view key, const View<V>& value) {
        combiners_.Add(key, value);
      });
    }
    const auto& table = combiners_.table();
    for (const auto& entry : table.entries()) PutPair<K, C>(table.KeyOf(entry), entry.value, out);
  }
  uint32_t output_fixed_size() const override { return kFixedSize<std::pair<K, C>>; }

 private:
  CombinerTable<K, V, Create, Merge> combiners_;
};

template <class T, class Chain>
struct Combines {
  using K = KeyOf<T>;
  using V = ValueOf<T>;

  template <class Create, class Merge, class MergeCombiners>
  static auto CombineByKey(const DStream<T, Chain>& s, Create create, Merge merge,
                           MergeCombiners merge_combiners, CombineOptions options) {
    if constexpr (Fits<Create, Merge, MergeCombiners>()) {
      using C = CombinerOf<Create, V>;
      if (!options.map_side) {
        using Operator = CombineValuesOperator<K, V, Create, Merge>;
        return Add<C>(s, MakeShuffle<RouteByKeyKernel<Chain, K, V>>(StreamAccess::chain(s)),
                      MakeOperator<Operator>(create, merge), options,
                      RecordName<std::pair<K, V>>);
      }
      using Kernel = CombineByKeyKernel<Chain, K, V, Create, Merge>;
      return Add<C>(s, MakeShuffle<Kernel>(StreamAccess::chain(s), create, merge),
                    MakeOperator<FoldByKeyOperator<K, C, MergeCombiners>>(merge_combiners),
                    options, RecordName<std::pair<K, C>>);
    }
  }

 private:
  template <class C>
  static DStream<std::pair<K, C>> Add(
      const DStream<T, Chain>& s, std::shared_ptr<const ShuffleKernelFactory> shuffle,
      std::shared_ptr<const PartitionOperatorFactory> partition_operator, CombineOptions options,
      std::string (*share_type)()) {
    return AddShuffle<std::pair<K, C>>(s, "CombineByKey", std::move(shuffle),
                                       std::move(partition_operator),
                                       Partitioning::Of<K>(options), share_type);
  }

  template <class Create, class Merge, class MergeCombiners>
  static constexpr bool Fits() {
    static_assert(PairRecord<T>, "CombineByKey needs a stream of pairs (key, value)");
    if constexpr (PairRecord<T>) {
      static_assert(RowFunction<Create, View<V>>,
                    "CombineByKey needs as its first function create(value)");
      if constexpr (RowFunction<Create, View<V>>) {
        using C = CombinerOf<Create, V>;
        static_assert(Record<C>, "what create(value) of CombineByKey returns must be a record");
        constexpr bool kMerges = MergeFunction<Merge, C, View<V>>;
        static_assert(kMerges,
                      "CombineByKey needs as its second function merge(combined, value), which "
                      "returns what create(value) does");
        constexpr bool kMeets = ReduceFunction<MergeCombiners, C>;
        static_assert(kMeets,
                      "CombineByKey needs as its third function one that takes two combined values "
                      "and returns one");
        return Record<C> && kMerges && kMeets;
      }
    }
    return false;
  }
};

}  // namespace sluice::internal
