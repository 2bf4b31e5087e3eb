// Narrow operators: Map, FlatMap, Filter, MapValues, FlatMapValues, MapPartitions, Glom; boxing and
// Union.
#pragma once

#include <array>

#include "driver/api/dstream.h"
#include "driver/api/rows.h"

namespace sluice::internal {

template <class T>
struct AllInOne {
  std::array<std::vector<T>, 1> operator()(std::span<const T> records) const {
    return {std::vector<T>(records.begin(), records.end())};
  }
};

// What stores the records of a stream.
template <class T, class Chain>
std::shared_ptr<const NarrowKernel> RecordsOf(const DStream<T, Chain>& s) {
  if constexpr (std::same_as<Chain, Stored<T>>) return CopyRecords(kFixedSize<T>);
  else return Adopt(new RecordKernel<Chain>(StreamAccess::chain(s)));
}

template <class T, class Chain>
struct Maps {
  using S = DStream<T, Chain>;

  template <class F>
  static auto Map(const S& s, F f) {
    return Extend(s, "Map", MapChain<Chain, F>{StreamAccess::chain(s), std::move(f)});
  }
  template <class F>
  static auto FlatMap(const S& s, F f) {
    if constexpr (EmitFunction<F, typename Chain::Out>) {
      using Emits = typename F::Emits;
      return Extend(s, "FlatMap",
                    EmitChain<Chain, F, Emits>{StreamAccess::chain(s), std::move(f)});
    } else {
      return Extend(s, "FlatMap", FlatMapChain<Chain, F>{StreamAccess::chain(s), std::move(f)});
    }
  }
  template <class F>
  static auto Filter(const S& s, F f) {
    return Extend(s, "Filter", FilterChain<Chain, F>{StreamAccess::chain(s), std::move(f)});
  }
  template <class F>
  static auto MapValues(const S& s, F f) {
    return Extend(s, "MapValues", MapValuesChain<Chain, F>{StreamAccess::chain(s), std::move(f)});
  }
  template <class F>
  static auto FlatMapValues(const S& s, F f) {
    return Extend(s, "FlatMapValues",
                  FlatMapValuesChain<Chain, F>{StreamAccess::chain(s), std::move(f)});
  }
  static auto Glom(const S& s) {
    return Extend(s, "Glom", MapPartitionsChain<Chain, AllInOne<T>>{StreamAccess::chain(s), {}});
  }
  template <class F>
  static auto MapPartitions(const S& s, F f) {
    return Extend(s, "MapPartitions",
                  MapPartitionsChain<Chain, F>{StreamAccess::chain(s), std::move(f)});
  }

  static DStream<T> Box(const S& s) {
    NarrowNode node(StreamAccess::place(s).graph, "Boxed");
    node.Read(StreamAccess::place(s), RecordsOf(s));
    return StreamAccess::Stream<T>(node.Add(RecordName<T>()));
  }

  template <class Other>
  static DStream<T> Union(const S& s, const DStream<T, Other>& other) {
    NarrowNode node(StreamAccess::place(s).graph, "Union");
    node.Read(StreamAccess::place(s), RecordsOf(s));
    node.Read(StreamAccess::place(other), RecordsOf(other));
    return StreamAccess::Stream<T>(node.Add(RecordName<T>()));
  }

  // The stream behind one more step.
  template <class NewChain>
  static auto Extend(const S& s, std::string_view name, NewChain chain) {
    return StreamAccess::Make(StreamAccess::place(s).Then(name), std::move(chain));
  }
};

}  // namespace sluice::internal
