// What operators know of streams and programs do not. Included by dstream.h, behind the class.
#pragma once

#include <utility>

#include "driver/api/graph_builder.h"

namespace sluice {
namespace internal {

// How the operators reach into streams and make new ones.
struct StreamAccess {
  template <class Chain>
  static auto Make(StreamPlace place, Chain chain) {
    return DStream<Own<typename Chain::Out>, Chain>(std::move(place), std::move(chain));
  }
  template <class T>
  static DStream<T> Stream(StreamPlace place) {
    return DStream<T>(std::move(place), Stored<T>{});
  }
  template <class S> static const StreamPlace& place(const S& s) { return s.place_; }
  template <class S> static GraphBuilder* graph(const S& s) { return s.place_.graph.get(); }
  template <class S> static const auto& chain(const S& s) { return s.chain_; }
};

}  // namespace internal
}  // namespace sluice
