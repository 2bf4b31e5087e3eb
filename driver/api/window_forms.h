// Windows for common ends: ReduceByWindow, CountByWindow, CountByValueAndWindow,
// GroupByKeyAndWindow.
#pragma once

#include "driver/api/dstream.h"
#include "driver/api/map.h"
#include "driver/api/shuffle.h"
#include "driver/api/window.h"

namespace sluice::internal {

// How many records the window's batches have, as one record; none until the first record ever.
// Keeps the counts of the held batches, and entries 'T' (the total) once there was a record.
class CountWindowOperator final : public PartitionOperator {
 public:
  explicit CountWindowOperator(WindowSpan span) : span_(span) {}
  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override;
  uint32_t output_fixed_size() const override { return sizeof(int64_t); }

 private:
  const WindowSpan span_;
};

// Holds the batches' pairs, and groups them all at every slide.
template <class K, class V>
class GroupWindowOperator final : public PartitionOperator {
 public:
  explicit GroupWindowOperator(WindowSpan span)
      : window_(span, kFixedSize<std::pair<K, V>>), records_(kFixedSize<std::pair<K, V>>) {}

  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override {
    records_.Clear();
    window_.Run(context, shares, records_);
    if (!context.emits) return;
    const Share all{0, records_.view()};
    groups_.Run(context, {&all, 1}, out);
  }
  uint32_t output_fixed_size() const override { return 0; }
  bool spreads() const override { return true; }
  void TakeOver(const Spreading& spreading, KeyedState& former, KeyedState& to) override {
    TakeOverPairs<K>(spreading, former, to, kFixedSize<std::pair<K, V>>);
  }

 private:
  WindowOperator window_;
  GroupByKeyOperator<K, V> groups_;
  RecordBatch records_;
};

// One key for all records.
struct UnderOneKey {
  template <class R>
  std::pair<uint8_t, R> operator()(const R& row) const { return {uint8_t{0}, row}; }
};
struct ValueOnly {
  template <class P>
  auto operator()(const P& pair) const { return pair.second; }
};

template <class T, class Chain>
struct WindowForms {
  using S = DStream<T, Chain>;

  template <class... Fs>
  static auto ReduceByWindow(const S& s, WindowOptions window, Fs... fs) {
    constexpr bool kReduce = (ReduceFunction<Fs, T> && ...);
    static_assert(kReduce,
                  "a reduce function must take two values and return one of the same type");
    window.partitions = 1;
    return s.Map(UnderOneKey()).ReduceByKeyAndWindow(std::move(fs)..., window).Map(ValueOnly());
  }

  static DStream<int64_t> CountByWindow(const S& s, WindowOptions window) {
    window.partitions = 1;
    const auto sliding = Windows<T, Chain>::template Slide<void>(s, "CountByWindow", window);
    return Windows<T, Chain>::template Add<int64_t>(
        s, sliding, "CountByWindow", "counts ",
        MakeShuffle<CountKernel<Chain>>(StreamAccess::chain(s)),
        MakeOperator<CountWindowOperator>(sliding.span));
  }

  static auto CountByValueAndWindow(const S& s, WindowOptions window) {
    static_assert(KeyRecord<T>, "CountByValueAndWindow needs records that can be keys; a Protobuf "
                                "message cannot, as equal messages need not have equal bytes");
    using Plus = std::plus<>;
    using Minus = std::minus<>;
    const auto sliding =
        Windows<T, Chain>::template Slide<T>(s, "CountByValueAndWindow", window);
    return Windows<T, Chain>::template Add<std::pair<T, int64_t>>(
        s, sliding, "CountByValueAndWindow", "running ",
        MakeShuffle<CombineKernel<Chain, CountSplit, T, int64_t, Plus>>(StreamAccess::chain(s),
                                                                        Plus()),
        MakeOperator<InverseWindowOperator<T, int64_t, Plus, Minus>>(sliding.span, Plus(),
                                                                     Minus()));
  }

  static auto GroupByKeyAndWindow(const S& s, WindowOptions window) {
    static_assert(PairRecord<T>, "GroupByKeyAndWindow needs a stream of pairs (key, value)");
    using K = KeyOf<T>;
    using V = ValueOf<T>;
    const auto sliding =
        Windows<T, Chain>::template Slide<K>(s, "GroupByKeyAndWindow", window);
    return Windows<T, Chain>::template Add<std::pair<K, std::vector<V>>>(
        s, sliding, "GroupByKeyAndWindow", "records ",
        MakeShuffle<RouteByKeyKernel<Chain, K, V>>(StreamAccess::chain(s)),
        MakeOperator<GroupWindowOperator<K, V>>(sliding.span));
  }
};

}  // namespace sluice::internal
