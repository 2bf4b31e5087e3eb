#include "driver/api/slice.h"

#include <algorithm>
#include <stdexcept>

namespace sluice::internal {
namespace {

// The last time of the stream at or before `time_ms`.
int64_t SlideAtOrBefore(int64_t time_ms, int64_t zero_ms, int64_t slide_ms) {
  const int64_t since_ms = std::max<int64_t>(time_ms - zero_ms, 0);
  return zero_ms + since_ms / slide_ms * slide_ms;
}

}  // namespace

SliceTimes SliceOperator::TimesOf(const TaskContext& task) const {
  SliceTimes times{task.batch_ms - spec_.from_ago_ms, task.batch_ms - spec_.to_ago_ms};
  if (spec_.chosen.has_value()) times = BatchValue<SliceTimes>(*spec_.chosen).Get();
  times.from_ms = SlideAtOrBefore(times.from_ms, task.zero_ms, spec_.slide_ms);
  times.to_ms = SlideAtOrBefore(times.to_ms, task.zero_ms, spec_.slide_ms);
  const int64_t kept_after_ms = task.batch_ms - *spec_.remember_ms;
  const bool empty = times.from_ms > times.to_ms || times.to_ms == task.zero_ms;
  if (spec_.chosen.has_value() && !empty && times.from_ms <= kept_after_ms &&
      kept_after_ms > task.zero_ms) {
    throw std::out_of_range("a slice from " + std::to_string(times.from_ms) + " at batch " +
                            std::to_string(task.batch_ms) + " reaches beyond the " +
                            std::to_string(*spec_.remember_ms) +
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
      std::min(batch_ms - *spec_.remember_ms,
               SlideAtOrBefore(batch_ms - spec_.from_ago_ms, context.task.zero_ms,
                               spec_.slide_ms) - 1);
  while (!held.empty() && held.times().front() <= gone_ms) held.RemoveOldest();
  batch_.Clear();
  for (const Share& share : shares) AppendRecords(share.records, batch_);
  if (!batch_.empty()) held.Add(batch_ms, batch_);
  for (const int64_t time_ms : held.times()) {
    if (time_ms >= times.from_ms && time_ms <= times.to_ms) AppendRecords(held.Get(time_ms), out);
  }
  held.Save();
}

}  // namespace sluice::internal
