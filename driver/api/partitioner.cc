#include "driver/api/partitioner.h"

#include <stdexcept>

namespace sluice {

Partitioner::~Partitioner() = default;

namespace internal {

void ThrowBadPartition(uint64_t partition, uint32_t partitions) {
  throw std::out_of_range("a partitioner gave partition " + std::to_string(partition) + " of " +
                          std::to_string(partitions));
}

}  // namespace internal
}  // namespace sluice
