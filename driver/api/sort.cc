#include "driver/api/sort.h"

namespace sluice::internal {
namespace {

class CutKernel final : public ShuffleKernel {
 public:
  explicit CutKernel(uint32_t fixed_size) : fixed_size_(fixed_size) {}
  void Run(const TaskContext& context, std::span<const BatchView> input,
           uint32_t partitions) override;
  std::span<const RecordBatch> shares() const override { return shares_.get(); }

 private:
  const uint32_t fixed_size_;
  Shares shares_;
};

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

}  // namespace

std::shared_ptr<const ShuffleKernelFactory> CutKernels(uint32_t fixed_size) {
  return MakeShuffle<CutKernel>(fixed_size);
}

}  // namespace sluice::internal
