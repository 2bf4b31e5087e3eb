#include "driver/api/slice.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "driver/api/batch_value.h"
#include "driver/api/window_state.h"

namespace sluice::internal {
namespace {

struct SliceEnds {
  int64_t slide_ms = 0;                          // of the stream
  int64_t from_ago_ms = 0, to_ago_ms = 0;        // before the batch at hand
  std::optional<BatchValueId> chosen{};          // instead of these: the SliceTimes of the batch
  std::shared_ptr<const int64_t> remember_ms{};  // settled when the job starts
};

class SliceOperator final : public PartitionOperator {
 public:
  SliceOperator(SliceEnds ends, uint32_t fixed_size)
      : ends_(std::move(ends)), batch_(fixed_size) {}
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

  const SliceEnds ends_;
  RecordBatch batch_;
};

// The last time of the stream at or before `time_ms`.
int64_t SlideAtOrBefore(int64_t time_ms, int64_t zero_ms, int64_t slide_ms) {
  const int64_t since_ms = std::max<int64_t>(time_ms - zero_ms, 0);
  return zero_ms + since_ms / slide_ms * slide_ms;
}

SliceTimes SliceOperator::TimesOf(const TaskContext& task) const {
  SliceTimes times{task.batch_ms - ends_.from_ago_ms, task.batch_ms - ends_.to_ago_ms};
  if (ends_.chosen.has_value()) times = BatchValue<SliceTimes>(*ends_.chosen).Get();
  times.from_ms = SlideAtOrBefore(times.from_ms, task.zero_ms, ends_.slide_ms);
  times.to_ms = SlideAtOrBefore(times.to_ms, task.zero_ms, ends_.slide_ms);
  const int64_t kept_after_ms = task.batch_ms - *ends_.remember_ms;
  const bool empty = times.from_ms > times.to_ms || times.to_ms == task.zero_ms;
  if (ends_.chosen.has_value() && !empty && times.from_ms <= kept_after_ms &&
      kept_after_ms > task.zero_ms) {
    throw std::out_of_range("a slice from " + std::to_string(times.from_ms) + " at batch " +
                            std::to_string(task.batch_ms) + " reaches beyond the " +
                            std::to_string(*ends_.remember_ms) +
                            " ms that StreamingContext::Remember keeps");
  }
  return times;
}

void SliceOperator::Run(const OperatorContext& context, std::span<const Share> shares,
                        RecordBatch& out) {
  const int64_t batch_ms = context.task.batch_ms;
  const SliceTimes times = TimesOf(context.task);
  HeldBatches held(*context.state, 'M', 'B');
  const int64_t gone_ms =
      std::min(batch_ms - *ends_.remember_ms,
               SlideAtOrBefore(batch_ms - ends_.from_ago_ms, context.task.zero_ms,
                               ends_.slide_ms) - 1);
  while (!held.empty() && held.times().front() <= gone_ms) held.RemoveOldest();
  batch_.Clear();
  for (const Share& share : shares) AppendRecords(share.records, batch_);
  if (!batch_.empty()) held.Add(batch_ms, batch_);
  for (const int64_t time_ms : held.times()) {
    if (time_ms >= times.from_ms && time_ms <= times.to_ms) AppendRecords(held.Get(time_ms), out);
  }
  held.Save();
}

StreamPlace Add(const StreamPlace& from, const SliceSpec& spec, SliceEnds ends) {
  ends.slide_ms = from.slide_batches() * from.graph->batch_interval_ms();
  ends.remember_ms = from.graph->remember_ms();
  return AddShuffleNode(from,
                        {.label = "Slice",
                         .record_type = spec.record_type,
                         .shuffle = spec.shuffle,
                         .partition_operator = MakeOperator<SliceOperator>(ends, spec.fixed_size),
                         .partitions = spec.partitions,
                         .state_name = "slice",
                         .state_type = "datasets every " + std::to_string(ends.slide_ms) +
                                       " ms of " + spec.record_type()});
}

}  // namespace

StreamPlace AddSlice(const StreamPlace& from, const SliceSpec& spec, const SliceOptions& ends) {
  if (ends.to.count() < 0 || ends.from < ends.to) {
    from.graph->Fail(3, "Slice needs .from at or before .to, and .to not in the future: from " +
                            std::to_string(ends.from.count()) + " ms ago to " +
                            std::to_string(ends.to.count()) + " ms ago");
  }
  return Add(from, spec, {.from_ago_ms = ends.from.count(), .to_ago_ms = ends.to.count()});
}

StreamPlace AddSlice(const StreamPlace& from, const SliceSpec& spec,
                     std::function<SliceTimes(int64_t batch_ms)> ends) {
  GraphBuilder& graph = *from.graph;
  graph.NeedRemember();
  const BatchValueId chosen =
      graph.AddBatchValue(graph.Numbered("times-of-slice"), RecordName<SliceTimes>(),
                          [ends = std::move(ends)](int64_t batch_ms) {
                            std::string bytes;
                            EncodeRecord<SliceTimes>(ends(batch_ms), bytes);
                            return bytes;
                          });
  return Add(from, spec, {.chosen = chosen});
}

}  // namespace sluice::internal
