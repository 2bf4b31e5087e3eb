#include "driver/api/chain.h"

#include <stdexcept>

namespace sluice::internal {

std::shared_ptr<const NarrowKernel> CopyRecords(uint32_t fixed_size) {
  return std::make_shared<CopyKernel>(fixed_size);
}

void ThrowBadRecord(std::string_view type, uint64_t index, size_t size) {
  throw std::runtime_error("a record does not decode as " + std::string(type) + ": record " +
                           std::to_string(index) + " of its batch, " + std::to_string(size) +
                           " bytes");
}

void ThrowBatchFull() {
  throw std::runtime_error("one task produced more than 2 GiB of records for one partition");
}

void AppendRecords(const BatchView& batch, RecordBatch& out) {
  if (out.size() + batch.size > kBatchBytesMax) ThrowBatchFull();
  if (out.AppendAll(batch)) return;
  for (uint32_t i = 0; i < batch.count; ++i) out.Append(batch.record(i));
}

void CopyKernel::Run(const TaskContext&, std::span<const BatchView> input,
                     RecordBatch& out) const {
  for (const BatchView& batch : input) AppendRecords(batch, out);
}

}  // namespace sluice::internal
