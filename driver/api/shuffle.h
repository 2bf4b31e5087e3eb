// Operators that move records between partitions and keep nothing: ReduceByKey, GroupByKey,
// CountByValue, Count, Reduce, Repartition.
#pragma once

#include "driver/api/dstream.h"
#include "driver/api/fixed_groups.h"
#include "driver/api/kernels.h"
#include "driver/api/value_groups.h"

namespace sluice::internal {

// Merges combined pairs; emits each key once, in the order of first arrival.
template <class K, class V, class F>
class FoldByKeyOperator final : public PartitionOperator {
 public:
  explicit FoldByKeyOperator(F f) : fold_(std::move(f)) {}

  void Run(const OperatorContext&, std::span<const Share> shares, RecordBatch& out) override {
    table_.Clear();
    const auto make = [](const auto& row) { return ToOwned(row); };
    const auto merge = [this](V& total, const auto& row) { fold_.Add(total, row); };
    for (const Share& share : shares) {
      ForEachPair<K, V>(share.records, [&](std::string_view key, const View<V>& value) {
        table_.Add(key, value, make, merge);
      });
    }
    table_.Flush(make, merge);
    for (const auto& entry : table_.entries()) {
      PutPair<K, V>(table_.KeyOf(entry), entry.value, out);
    }
  }
  uint32_t output_fixed_size() const override { return kFixedSize<std::pair<K, V>>; }

 private:
  Folder<V, F> fold_;
  KeyTable<K, V> table_;
};

template <class K, class V>
class GroupByKeyOperator final : public PartitionOperator {
 public:
  void Run(const OperatorContext&, std::span<const Share> shares, RecordBatch& out) override {
    if constexpr (kFitFixedGroups<K, V>) {
      if (fixed_.Gather(shares, out)) return;
    }
    groups_.Gather(shares, TakeKeyField<K>);
    View<V> value{};
    for (const auto& entry : groups_.entries()) {
      PutKeyField<K>(groups_.KeyOf(entry), out.bytes());
      PutVarint(entry.value.count, out.bytes());
      groups_.ForEachValue(entry.value, [&](std::string_view bytes) {
        DecodeField<V>(bytes, value);  // checks what later readers rely on
        out.bytes().append(bytes);
      });
      CloseRecord(out);
    }
  }
  uint32_t output_fixed_size() const override { return 0; }

 private:
  FixedGroups fixed_{kFixedSize<K>, kFixedSize<V>};
  ValueGroups groups_;
};

// All records of the shares as they are.
class ConcatOperator final : public PartitionOperator {
 public:
  explicit ConcatOperator(uint32_t fixed_size) : fixed_size_(fixed_size) {}
  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override;
  uint32_t output_fixed_size() const override { return fixed_size_; }
  bool passes_on() const override { return true; }

 private:
  uint32_t fixed_size_;
};

// The sum of the shares' counts: always one record.
class SumCountsOperator final : public PartitionOperator {
 public:
  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override;
  uint32_t output_fixed_size() const override { return sizeof(int64_t); }
};

template <class T, class F>
class ReduceOperator final : public PartitionOperator {
 public:
  explicit ReduceOperator(F f) : fold_(std::move(f)) {}

  void Run(const OperatorContext&, std::span<const Share> shares, RecordBatch& out) override {
    std::optional<T> total;
    View<T> row{};
    for (const Share& share : shares) {
      for (uint32_t i = 0; i < share.records.count; ++i) {
        const std::string_view record = share.records.record(i);
        if (!DecodeRecord<T>(record, row)) ThrowBadRecord(RecordName<T>(), i, record.size());
        if (total.has_value()) fold_.Add(*total, std::as_const(row));
        else total = ToOwned(row);
      }
    }
    if (!total.has_value()) return;
    EncodeRecord<T>(*total, out.bytes());
    CloseRecord(out);
  }
  uint32_t output_fixed_size() const override { return kFixedSize<T>; }

 private:
  Folder<T, F> fold_;
};

// A shuffle node over one stream.
template <class Out, class T, class Chain>
DStream<Out> AddShuffle(const DStream<T, Chain>& s, const char* label,
                        std::shared_ptr<const ShuffleKernelFactory> shuffle,
                        std::shared_ptr<const PartitionOperatorFactory> partition_operator,
                        const Partitioning& partitions,
                        std::string (*share_type)() = nullptr) {
  return StreamAccess::Stream<Out>(
      AddShuffleNode(StreamAccess::place(s), {.label = label,
                                              .record_type = RecordName<Out>,
                                              .shuffle = std::move(shuffle),
                                              .partition_operator = std::move(partition_operator),
                                              .partitions = partitions,
                                              .share_type = share_type}));
}

template <class T, class Chain>
struct Shuffles {
  using S = DStream<T, Chain>;
  using K = KeyOf<T>;
  using V = ValueOf<T>;

  template <class F>
  static DStream<T> ReduceByKey(const S& s, F f, const ShuffleOptions& options) {
    return AddShuffle<T>(
        s, "ReduceByKey",
        MakeShuffle<CombineKernel<Chain, PairSplit, K, V, F>>(StreamAccess::chain(s), f),
        MakeOperator<FoldByKeyOperator<K, V, F>>(f), Partitioning::Of<K>(options));
  }

  static auto GroupByKey(const S& s, const ShuffleOptions& options) {
    return AddShuffle<std::pair<K, std::vector<V>>>(
        s, "GroupByKey", MakeShuffle<RouteByKeyKernel<Chain, K, V>>(StreamAccess::chain(s)),
        MakeOperator<GroupByKeyOperator<K, V>>(), Partitioning::Of<K>(options));
  }

  static auto CountByValue(const S& s, const ShuffleOptions& options) {
    using F = std::plus<>;
    return AddShuffle<std::pair<T, int64_t>>(
        s, "CountByValue",
        MakeShuffle<CombineKernel<Chain, CountSplit, T, int64_t, F>>(StreamAccess::chain(s), F()),
        MakeOperator<FoldByKeyOperator<T, int64_t, F>>(F()), Partitioning::Of<T>(options));
  }

  static DStream<T> Repartition(const S& s, uint32_t n) {
    if (n == 0) StreamAccess::graph(s)->Fail(3, "Repartition needs at least one partition");
    return AddShuffle<T>(s, "Repartition", MakeShuffle<SpreadKernel<Chain>>(StreamAccess::chain(s)),
                         MakeOperator<ConcatOperator>(kFixedSize<T>), n);
  }

  static DStream<int64_t> Count(const S& s) {
    return AddShuffle<int64_t>(s, "Count", MakeShuffle<CountKernel<Chain>>(StreamAccess::chain(s)),
                               MakeOperator<SumCountsOperator>(), 1);
  }

  template <class F>
  static DStream<T> Reduce(const S& s, F f) {
    return AddShuffle<T>(s, "Reduce",
                         MakeShuffle<ReduceKernel<Chain, F>>(StreamAccess::chain(s), f),
                         MakeOperator<ReduceOperator<T, F>>(f), Partitioning::OfWhole());
  }
};

}  // namespace sluice::internal
