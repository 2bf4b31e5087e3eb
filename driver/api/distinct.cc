#include "driver/api/distinct.h"

namespace sluice::internal {
namespace {

class DistinctOperator final : public PartitionOperator {
 public:
  explicit DistinctOperator(uint32_t fixed_size) : fixed_size_(fixed_size) {}

  void Run(const OperatorContext&, std::span<const Share> shares, RecordBatch& out) override {
    seen_.Clear();
    bool added;
    for (const Share& share : shares) {
      for (uint32_t i = 0; i < share.records.count; ++i) {
        seen_.FindOrAdd(share.records.record(i), added);
        if (!added) continue;
        out.bytes().append(share.records.record(i));
        CloseRecord(out);
      }
    }
  }
  uint32_t output_fixed_size() const override { return fixed_size_; }

 private:
  const uint32_t fixed_size_;
  CombineTable<NoValue> seen_;
};

}  // namespace

std::shared_ptr<const PartitionOperatorFactory> DistinctOperators(uint32_t fixed_size) {
  return MakeOperator<DistinctOperator>(fixed_size);
}

}  // namespace sluice::internal
