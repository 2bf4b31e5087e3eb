// Slice: the datasets of past batches. A shuffle with state, which holds each dataset as a batch
// entry (window_state.h) as long as the slice's own reach or StreamingContext::Remember asks.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "driver/api/batch_value.h"
#include "driver/api/dstream.h"
#include "driver/api/shuffle.h"
#include "driver/api/window_state.h"

namespace sluice::internal {

struct SliceSpec {
  int64_t slide_ms = 0;                       // of the stream
  int64_t from_ago_ms = 0, to_ago_ms = 0;     // before the batch at hand
  std::optional<BatchValueId> chosen{};       // instead of these: the SliceTimes of the batch
  std::shared_ptr<const int64_t> remember_ms; // settled when the job starts
};

class SliceOperator final : public PartitionOperator {
 public:
  SliceOperator(SliceSpec spec, uint32_t fixed_size)
      : spec_(std::move(spec)), batch_(fixed_size) {}
  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override;
  uint32_t output_fixed_size() const override { return batch_.view().fixed_size; }
  // Records have no key here.
  bool spreads() const override { return true; }
  bool NeedsFormer(const Spreading& spreading) const override { return spreading.TakesWhole(); }
  void TakeOver(const Spreading&, KeyedState& former, KeyedState& to) override {
    TakeOverBatches(former, to, output_fixed_size(), AppendRecords);
  }

 private:
  // The ends, both included; a slice between two other batch times begins at the one before.
  SliceTimes TimesOf(const TaskContext& task) const;

  const SliceSpec spec_;
  RecordBatch batch_;
};

template <class T, class Chain>
struct Slices {
  using S = DStream<T, Chain>;

  static DStream<T> Slice(const S& s, const SliceOptions& options) {
    if (options.to.count() < 0 || options.from < options.to) {
      StreamAccess::graph(s)->Fail(
          3, "Slice needs .from at or before .to, and .to not in the future: from " +
                 std::to_string(options.from.count()) + " ms ago to " +
                 std::to_string(options.to.count()) + " ms ago");
    }
    SliceSpec spec;
    spec.from_ago_ms = options.from.count();
    spec.to_ago_ms = options.to.count();
    return Add(s, std::move(spec), options.partitions);
  }

  template <class F>
  static DStream<T> Chosen(const S& s, F f, uint32_t partitions) {
    constexpr bool kChooses = std::is_invocable_r_v<SliceTimes, F&, int64_t>;
    static_assert(kChooses, "Slice needs a function that gives the sluice::SliceTimes of a batch "
                            "by its time in milliseconds");
    SliceSpec spec;
    if constexpr (kChooses) {
      GraphBuilder* const graph = StreamAccess::graph(s);
      graph->NeedRemember();
      spec.chosen = graph->AddBatchValue(
          {graph->Numbered("times-of-slice"), RecordName<SliceTimes>(),
           [f = std::move(f)](int64_t batch_ms) mutable {
             std::string bytes;
             EncodeRecord<SliceTimes>(f(batch_ms), bytes);
             return bytes;
           }});
    }
    return Add(s, std::move(spec), partitions);
  }

 private:
  static DStream<T> Add(const S& s, SliceSpec spec, uint32_t partitions) {
    const StreamPlace& place = StreamAccess::place(s);
    spec.slide_ms = place.slide_batches() * place.graph->batch_interval_ms();
    spec.remember_ms = place.graph->remember_ms();
    return StreamAccess::Stream<T>(AddShuffleNode(
        place,
                   {.label = "Slice",
                    .record_type = RecordName<T>,
                    .shuffle = MakeShuffle<KeepTogetherKernel<Chain>>(StreamAccess::chain(s)),
                    .partition_operator = MakeOperator<SliceOperator>(spec, kFixedSize<T>),
                    .partitions = partitions,
                    .state_name = "slice",
                    .state_type = "datasets every " + std::to_string(spec.slide_ms) +
                                  " ms of " + RecordName<T>()}));
  }
};

}  // namespace sluice::internal
