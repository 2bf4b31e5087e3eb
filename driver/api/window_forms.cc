#include "driver/api/window_forms.h"

namespace sluice::internal {
namespace {

int64_t SumOf(const BatchView& counts) {
  int64_t sum = 0;
  for (uint32_t i = 0; i < counts.count; ++i) {
    int64_t count;
    const std::string_view record = counts.record(i);
    if (!DecodeRecord<int64_t>(record, count)) ThrowBadRecord("int64", i, record.size());
    sum += count;
  }
  return sum;
}

}  // namespace

void CountWindowOperator::Run(const OperatorContext& context, std::span<const Share> shares,
                              RecordBatch& out) {
  KeyedState& state = *context.state;
  HeldBatches held(state, 'M', 'B');
  const int64_t cutoff = span_.Cutoff(context.task);
  std::optional<int64_t> total;
  if (const auto bytes = state.Get("T"); bytes.has_value()) {
    if (!DecodeRecord<int64_t>(*bytes, total.emplace())) ThrowBadRecord("int64", 0, bytes->size());
  }
  while (!held.empty() && held.times().front() <= cutoff) {
    *total -= SumOf(held.Get(held.times().front()));
    held.RemoveOldest();
  }
  RecordBatch record(sizeof(int64_t));
  int64_t count = 0;
  for (const Share& share : shares) count += SumOf(share.records);
  if (count != 0 && context.task.batch_ms > cutoff) {
    EncodeRecord<int64_t>(count, record.bytes());
    record.EndRecord();
    held.Add(context.task.batch_ms, record);
    total = total.value_or(0) + count;
  }
  held.Save();
  if (!total.has_value()) return;
  std::string encoded;
  EncodeRecord<int64_t>(*total, encoded);
  state.Put("T", encoded);
  if (context.emits) out.Append(encoded);
}

}  // namespace sluice::internal
