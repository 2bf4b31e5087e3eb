#include "driver/api/window.h"

namespace sluice::internal {

void WindowOperator::Run(const OperatorContext& context, std::span<const Share> shares,
                         RecordBatch& out) {
  HeldBatches held(*context.state, 'M', 'B');
  const int64_t cutoff = span_.Cutoff(context.task);
  while (!held.empty() && held.times().front() <= cutoff) held.RemoveOldest();
  batch_.Clear();
  for (const Share& share : shares) AppendRecords(share.records, batch_);
  if (context.task.batch_ms > cutoff && !batch_.empty()) held.Add(context.task.batch_ms, batch_);
  if (context.emits) {
    for (const int64_t time_ms : held.times()) AppendRecords(held.Get(time_ms), out);
  }
  held.Save();
}

void WindowOperator::TakeOver(const Spreading&, KeyedState& former, KeyedState& to) {
  TakeOverBatches(former, to, output_fixed_size(), AppendRecords);
}

}  // namespace sluice::internal
