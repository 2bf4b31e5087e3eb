// What operators know of streams and programs do not. Included by dstream.h, behind the class.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "driver/api/graph_builder.h"

namespace sluice {
namespace internal {

// How the operators reach into streams and make new ones.
struct StreamAccess {
  template <class Chain>
  static auto Make(std::shared_ptr<GraphBuilder> graph, NodeId parent, std::string operators,
                   Chain chain) {
    return DStream<Own<typename Chain::Out>, Chain>(std::move(graph), parent, std::move(operators),
                                                    std::move(chain));
  }
  template <class T>
  static DStream<T> Stream(std::shared_ptr<GraphBuilder> graph, NodeId node) {
    return Make(std::move(graph), node, "", Stored<T>{});
  }
  template <class S>
  static const std::shared_ptr<GraphBuilder>& graph(const S& s) { return s.graph_; }
  template <class S> static NodeId parent(const S& s) { return s.parent_; }
  template <class S> static const std::string& operators(const S& s) { return s.operators_; }
  template <class S> static const auto& chain(const S& s) { return s.chain_; }

  // The stream as the input of a node whose kernel is made from its chain.
  template <class S>
  static NodeInput Input(const S& s) { return {s.parent_, s.operators_, nullptr, nullptr}; }
};

}  // namespace internal
}  // namespace sluice
