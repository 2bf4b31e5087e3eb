#include "driver/api/sort.h"

namespace sluice::internal {

void CutKernel::Run(const TaskContext& context, std::span<const BatchView> input,
                    uint32_t partitions) {
  shares_.Start(context, partitions, fixed_size_);
  uint64_t total = 0, next = 0;
  for (const BatchView& batch : input) total += batch.count;
  for (const BatchView& batch : input) {
    for (uint32_t i = 0; i < batch.count; ++i) {
      RecordBatch& out = shares_[next++ * partitions / total];
      out.bytes().append(batch.record(i));
      CloseRecord(out);
    }
  }
}

}  // namespace sluice::internal
