#include "common/plan/kernel.h"

#include "common/key_hash.h"
#include "common/plan/key_groups.h"

namespace sluice {
namespace {

thread_local const TaskContext* current_task = nullptr;

}  // namespace

const TaskContext* CurrentTask() { return current_task; }

CurrentTaskScope::CurrentTaskScope(const TaskContext& context) : before_(current_task) {
  current_task = &context;
}
CurrentTaskScope::~CurrentTaskScope() { current_task = before_; }

bool Spreading::Takes(std::string_view key) const {
  if (partitioner != nullptr) return partitioner->PartitionOf(key, partitions) == partition;
  return PartitionOf(KeyHash(key), key_groups, partitions) == partition;
}

// Partition p of n has the key groups from ceil(p * groups / n) on.
bool Spreading::MayShareKeys() const {
  if (partitioner != nullptr) return true;
  const auto begin = [this](uint64_t p, uint64_t of) { return (p * key_groups + of - 1) / of; };
  return begin(former, former_partitions) < begin(uint64_t{partition} + 1, partitions) &&
         begin(partition, partitions) < begin(uint64_t{former} + 1, former_partitions);
}

}  // namespace sluice
