#include "driver/api/shuffle.h"

namespace sluice::internal {

void ConcatOperator::Run(const OperatorContext&, std::span<const Share> shares, RecordBatch& out) {
  for (const Share& share : shares) AppendRecords(share.records, out);
}

void SumCountsOperator::Run(const OperatorContext&, std::span<const Share> shares,
                            RecordBatch& out) {
  int64_t total = 0;
  for (const Share& share : shares) {
    for (uint32_t i = 0; i < share.records.count; ++i) {
      int64_t count;
      const std::string_view record = share.records.record(i);
      if (!DecodeRecord<int64_t>(record, count)) ThrowBadRecord("int64", i, record.size());
      total += count;
    }
  }
  EncodeRecord<int64_t>(total, out.bytes());
  out.EndRecord();
}

}  // namespace sluice::internal
