#include "driver/api/distinct.h"

namespace sluice::internal {

void DistinctOperator::Run(const OperatorContext&, std::span<const Share> shares,
                           RecordBatch& out) {
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

}  // namespace sluice::internal
