// Slice: the datasets of past batches. A shuffle with state, which holds each dataset as a batch
// entry (window_state.h) as long as the slice's own reach or StreamingContext::Remember asks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "driver/api/dstream.h"
#include "driver/api/kernels.h"

namespace sluice::internal {

// What a slice does to a stream, but for the types.
struct SliceSpec {
  std::string (*record_type)();
  uint32_t fixed_size = 0;
  std::shared_ptr<const ShuffleKernelFactory> shuffle;  // keeps datasets together
  uint32_t partitions = 0;
};
StreamPlace AddSlice(const StreamPlace& from, const SliceSpec& spec, const SliceOptions& ends);
// Between times that a function of the batch time in milliseconds chooses.
StreamPlace AddSlice(const StreamPlace& from, const SliceSpec& spec,
                     std::function<SliceTimes(int64_t batch_ms)> ends);

template <class T, class Chain>
struct Slices {
  using S = DStream<T, Chain>;

  static DStream<T> Slice(const S& s, const SliceOptions& options) {
    return StreamAccess::Stream<T>(
        AddSlice(StreamAccess::place(s), Spec(s, options.partitions), options));
  }

  template <class F>
  static DStream<T> Chosen(const S& s, F f, uint32_t partitions) {
    constexpr bool kChooses = std::is_invocable_r_v<SliceTimes, F&, int64_t>;
    static_assert(kChooses, "Slice needs a function that gives the sluice::SliceTimes of a batch "
                            "by its time in milliseconds");
    if constexpr (kChooses) {
      return StreamAccess::Stream<T>(
          AddSlice(StreamAccess::place(s), Spec(s, partitions), std::move(f)));
    }
  }

 private:
  static SliceSpec Spec(const S& s, uint32_t partitions) {
    return {RecordName<T>, kFixedSize<T>,
            MakeShuffle<KeepTogetherKernel<Chain>>(StreamAccess::chain(s)), partitions};
  }
};

}  // namespace sluice::internal
