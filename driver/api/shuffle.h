// Operators that move records between partitions and keep nothing: ReduceByKey, GroupByKey,
// CountByValue, Count, Reduce, Repartition.
#pragma once

#include "driver/api/dstream.h"
#include "driver/api/kernels.h"

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
    std::string_view key;
    View<V> value{};
    for (const Share& share : shares) {
      for (uint32_t i = 0; i < share.records.count; ++i) {
        TakePair<K, V>(share.records.record(i), key, value);
        table_.Add(key, std::as_const(value), make, merge);
      }
    }
    table_.Flush(make, merge);
    for (const auto& entry : table_.entries()) {
      PutPair<K, V>(table_.KeyOf(entry), entry.value, out);
    }
  }
  uint32_t output_fixed_size() const override { return kFixedSize<std::pair<K, V>>; }

 private:
  Folder<V, F> fold_;
  CombineTable<V> table_;
};

// The values of each key, as encoded, in the order of arrival.
template <class K, class V>
class ValueGroups {
 public:
  void Gather(std::span<const Share> shares) {
    table_.Clear();
    values_.clear();
    std::string_view key;
    for (const Share& share : shares) {
      for (uint32_t i = 0; i < share.records.count; ++i) {
        const std::string_view record = share.records.record(i);
        ByteReader in{record.data(), record.data() + record.size()};
        if (!TakeKeyField<K>(in, key)) {
          ThrowBadRecord(RecordName<std::pair<K, V>>(), i, record.size());
        }
        Append(key, {in.at, in.left()});
      }
    }
  }

  struct Group {
    uint32_t first = 0, last = 0, count = 0;  // a list through values_
  };
  using Entry = typename CombineTable<Group>::Entry;
  const std::vector<Entry>& entries() const { return table_.entries(); }
  std::string_view KeyOf(const Entry& entry) const { return table_.KeyOf(entry); }
  // The group of a key; null when it has none.
  const Entry* Find(std::string_view key) { return table_.Find(key); }

  template <class Visit>
  void ForEachValue(const Group& group, const Visit& visit) const {
    uint32_t at = group.first;
    for (uint32_t i = 0; i < group.count; ++i, at = values_[at].next) visit(values_[at].bytes);
  }
  static void Decode(std::string_view bytes, View<V>& value) {
    ByteReader in{bytes.data(), bytes.data() + bytes.size()};
    if (!RecordCodec<V>::Take(in, value) || in.at != in.end) {
      ThrowBadRecord(RecordName<V>(), 0, bytes.size());
    }
  }

 private:
  struct Value {
    std::string_view bytes;
    uint32_t next = 0;
  };

  void Append(std::string_view key, std::string_view bytes) {
    bool added;
    Group& group = table_.FindOrAdd(key, added).value;
    const auto index = static_cast<uint32_t>(values_.size());
    values_.push_back({bytes, 0});
    if (added) group.first = index;
    else values_[group.last].next = index;
    group.last = index;
    ++group.count;
  }

  CombineTable<Group> table_;
  std::vector<Value> values_;
};

template <class K, class V>
class GroupByKeyOperator final : public PartitionOperator {
 public:
  void Run(const OperatorContext&, std::span<const Share> shares, RecordBatch& out) override {
    groups_.Gather(shares);
    View<V> value{};
    for (const auto& entry : groups_.entries()) {
      PutKeyField<K>(groups_.KeyOf(entry), out.bytes());
      PutVarint(entry.value.count, out.bytes());
      groups_.ForEachValue(entry.value, [&](std::string_view bytes) {
        groups_.Decode(bytes, value);  // checks what later readers rely on
        out.bytes().append(bytes);
      });
      CloseRecord(out);
    }
  }
  uint32_t output_fixed_size() const override { return 0; }

 private:
  ValueGroups<K, V> groups_;
};

// All records of the shares as they are.
class ConcatOperator final : public PartitionOperator {
 public:
  explicit ConcatOperator(uint32_t fixed_size) : fixed_size_(fixed_size) {}
  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override;
  uint32_t output_fixed_size() const override { return fixed_size_; }

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

template <class T, class Chain>
struct Shuffles {
  using S = DStream<T, Chain>;
  using K = KeyOf<T>;
  using V = ValueOf<T>;

  template <class F>
  static DStream<T> ReduceByKey(const S& s, F f, ShuffleOptions options) {
    NodeInput input = StreamAccess::Input(s);
    input.shuffle =
        MakeShuffle<CombineKernel<Chain, PairSplit, K, V, F>>(StreamAccess::chain(s), f);
    return Add<T>(s, "ReduceByKey", std::move(input), MakeOperator<FoldByKeyOperator<K, V, F>>(f),
                  options.partitions);
  }

  static auto GroupByKey(const S& s, ShuffleOptions options) {
    NodeInput input = StreamAccess::Input(s);
    input.shuffle = MakeShuffle<RouteByKeyKernel<Chain, K, V>>(StreamAccess::chain(s));
    return Add<std::pair<K, std::vector<V>>>(s, "GroupByKey", std::move(input),
                                             MakeOperator<GroupByKeyOperator<K, V>>(),
                                             options.partitions);
  }

  static auto CountByValue(const S& s, ShuffleOptions options) {
    using F = std::plus<>;
    NodeInput input = StreamAccess::Input(s);
    input.shuffle = MakeShuffle<CombineKernel<Chain, CountSplit, T, int64_t, F>>(
        StreamAccess::chain(s), F());
    return Add<std::pair<T, int64_t>>(s, "CountByValue", std::move(input),
                                      MakeOperator<FoldByKeyOperator<T, int64_t, F>>(F()),
                                      options.partitions);
  }

  static DStream<T> Repartition(const S& s, uint32_t n) {
    if (n == 0) StreamAccess::graph(s)->Fail(3, "Repartition needs at least one partition");
    NodeInput input = StreamAccess::Input(s);
    input.shuffle = MakeShuffle<SpreadKernel<Chain>>(StreamAccess::chain(s));
    return Add<T>(s, "Repartition", std::move(input), MakeOperator<ConcatOperator>(kFixedSize<T>),
                  n);
  }

  static DStream<int64_t> Count(const S& s) {
    NodeInput input = StreamAccess::Input(s);
    input.shuffle = MakeShuffle<CountKernel<Chain>>(StreamAccess::chain(s));
    return Add<int64_t>(s, "Count", std::move(input), MakeOperator<SumCountsOperator>(), 1);
  }

  template <class F>
  static DStream<T> Reduce(const S& s, F f) {
    NodeInput input = StreamAccess::Input(s);
    input.shuffle = MakeShuffle<ReduceKernel<Chain, F>>(StreamAccess::chain(s), f);
    return Add<T>(s, "Reduce", std::move(input), MakeOperator<ReduceOperator<T, F>>(f), 1);
  }

 private:
  template <class Out>
  static DStream<Out> Add(const S& s, std::string label, NodeInput input,
                          std::shared_ptr<const PartitionOperatorFactory> partition_operator,
                          uint32_t partitions) {
    const auto& graph = StreamAccess::graph(s);
    return StreamAccess::Stream<Out>(
        graph, graph->AddShuffle(std::move(label), RecordName<Out>(), std::move(input),
                                 std::move(partition_operator), partitions));
  }
};

}  // namespace sluice::internal
