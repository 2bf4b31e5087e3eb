// Transform, TransformWith: a part of the graph written as a function of streams and batch time.
#pragma once

#include "driver/api/batch_value.h"
#include "driver/api/dstream.h"

namespace sluice::internal {

template <class T, class Chain>
void TakeStream(const DStream<T, Chain>&);
template <class S>
concept AnyStream = requires(const S& s) { TakeStream(s); };

template <class F, class... Args>
auto CallTransform(F& f, const Args&... args) {
  static_assert(std::invocable<F&, const Args&..., BatchTime>,
                "Transform needs a function of the streams, as const references or by value, and "
                "of a BatchTime");
  if constexpr (std::invocable<F&, const Args&..., BatchTime>) {
    using Result = std::remove_cvref_t<std::invoke_result_t<F&, const Args&..., BatchTime>>;
    static_assert(AnyStream<Result>, "Transform needs a function that returns a stream");
    return f(args..., BatchTime());
  }
}

template <class T, class Chain>
struct Transforms {
  using S = DStream<T, Chain>;

  template <class F>
  static auto Transform(const S& s, F f) {
    return CallTransform(f, s);
  }

  template <class Other, class F>
  static auto TransformWith(const S& s, const Other& other, F f) {
    if (StreamAccess::place(s).slide_batches() != StreamAccess::place(other).slide_batches()) {
      StreamAccess::graph(s)->Fail(3, "TransformWith needs streams of the same slide");
    }
    return CallTransform(f, s, other);
  }
};

}  // namespace sluice::internal
