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

  static DStream<T> Box(const S& s) { return AddNarrow("Boxed", s, {NarrowInput(s)}); }

  template <class Other>
  static DStream<T> Union(const S& s, const DStream<T, Other>& other) {
    if (StreamAccess::graph(other) != StreamAccess::graph(s)) {
      StreamAccess::graph(s)->Fail(3, "Union needs streams of one context");
      return Box(s);
    }
    return AddNarrow("Union", s, {NarrowInput(s), Maps<T, Other>::NarrowInput(other)});
  }

  static NodeInput NarrowInput(const S& s) {
    NodeInput input = StreamAccess::Input(s);
    if constexpr (std::same_as<Chain, Stored<T>>) {
      input.narrow = std::make_shared<CopyKernel>(kFixedSize<T>);
    } else {
      input.narrow = std::make_shared<RecordKernel<Chain>>(StreamAccess::chain(s));
    }
    return input;
  }

  // A narrow node over inputs that all have the slide of `s`.
  static DStream<T> AddNarrow(std::string label, const S& s, std::vector<NodeInput> inputs) {
    const auto& graph = StreamAccess::graph(s);
    Node node;
    node.kind = NodeKind::kNarrow;
    node.label = std::move(label);
    node.record_type = RecordName<T>();
    node.slide_batches = graph->slide_of(inputs[0].parent);
    for (const NodeInput& input : inputs) {
      if (graph->slide_of(input.parent) != node.slide_batches) {
        graph->Fail(3, "Union needs streams of the same slide");
      }
    }
    node.inputs = std::move(inputs);
    return StreamAccess::Stream<T>(graph, graph->AddNode(std::move(node)));
  }

  // The stream behind one more step.
  template <class NewChain>
  static auto Extend(const S& s, std::string_view name, NewChain chain) {
    std::string operators = StreamAccess::operators(s);
    if (!operators.empty()) operators += ", ";
    operators += name;
    return StreamAccess::Make(StreamAccess::graph(s), StreamAccess::parent(s),
                              std::move(operators), std::move(chain));
  }
};

}  // namespace sluice::internal
