#include "driver/api/kernels.h"

#include <sys/mman.h>

namespace sluice::internal {

void AdviseHugePages(void* memory, size_t size) {
  constexpr uintptr_t kHuge = uintptr_t{2} << 20;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + kHuge - 1) & ~(kHuge - 1);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + size) & ~(kHuge - 1);
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

void MakeSlots(std::vector<uint64_t>& slots, uint64_t size) {
  std::vector<uint64_t>().swap(slots);
  slots.reserve(size);
  AdviseHugePages(slots.data(), size * sizeof(uint64_t));
  slots.resize(size);
}

void ClearSlots(std::vector<uint64_t>& slots) { slots.assign(slots.size(), 0); }

void PutTextPair(std::string_view key, const char* value, size_t size, RecordBatch& out) {
  if (key.size() > kShortKeyMax) {
    PutKeyField<std::string>(key, out.bytes());
    out.bytes().append(value, size);
    return CloseRecord(out);
  }
  char bytes[1 + kShortKeyMax + 16];  // in one piece
  bytes[0] = static_cast<char>(key.size());
  const ShortKey padded = LoadShortKey(key.data(), key.size());
  std::memcpy(bytes + 1, &padded, kShortKeyMax);
  std::memcpy(bytes + 1 + key.size(), value, size);
  out.bytes().append(bytes, 1 + key.size() + size);
  CloseRecord(out);
}

std::span<const RecordBatch> Shares::get() const { return {batches_.data(), partitions_}; }

void Shares::Start(const TaskContext& context, uint32_t partitions, uint32_t fixed_size) {
  partitioner_ = context.partitioner;
  if (batches_.size() < partitions) batches_.resize(partitions);
  for (uint32_t p = 0; p < partitions; ++p) {
    batches_[p].Clear();
    batches_[p].SetFixedSize(fixed_size);
    batches_[p].BeginEncoded();
  }
  if (partitions_ == partitions && key_groups_ == context.key_groups) return;
  partitions_ = partitions;
  key_groups_ = context.key_groups;
  partition_of_group_.resize(key_groups_);
  for (uint32_t group = 0; group < key_groups_; ++group) {
    partition_of_group_[group] =
        static_cast<uint32_t>(uint64_t{group} * partitions / key_groups_);
  }
}

}  // namespace sluice::internal
