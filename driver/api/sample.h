// Sample: a random share of the records, the same one whenever the batch is redone.
#pragma once

#include "common/plan/task_seed.h"
#include "driver/api/dstream.h"
#include "driver/api/map.h"

namespace sluice::internal {

// Random numbers of one task, for one operator of it.
class TaskRandom {
 public:
  TaskRandom(const TaskContext& context, uint64_t operator_number)
      : key_(MixSeed(context.random_seed, operator_number)) {}
  // In [0, 1).
  double Next() { return static_cast<double>(MixSeed(key_, ++drawn_) >> 11) * 0x1p-53; }

 private:
  const uint64_t key_;
  uint64_t drawn_ = 0;
};

template <class Chain>
struct SampleChain {
  using Out = typename Chain::Out;
  Chain chain;
  double fraction;
  uint64_t operator_number;

  template <class Sink>
  SLUICE_INLINED
  void Drive(const TaskContext& context, std::span<const BatchView> batches, Sink&& sink) const {
    TaskRandom random(context, operator_number);
    chain.Drive(context, batches, [&]<class R>(R&& row) SLUICE_INLINED {
      if (random.Next() < fraction) sink(std::forward<R>(row));
    });
  }
};

template <class T, class Chain>
struct Samples {
  static auto Sample(const DStream<T, Chain>& s, double fraction) {
    GraphBuilder* const graph = StreamAccess::graph(s);
    if (!(fraction >= 0 && fraction <= 1)) {
      graph->Fail(3, "Sample needs a fraction between 0 and 1; it is " + std::to_string(fraction));
    }
    const auto number = static_cast<uint64_t>(graph->NextOf("sample"));
    return Maps<T, Chain>::Extend(
        s, "Sample", SampleChain<Chain>{StreamAccess::chain(s), fraction, number});
  }
};

}  // namespace sluice::internal
