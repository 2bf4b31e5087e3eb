// Which partitions the pieces of a block of deltas are of, in few numbers that go with its name.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "proto/batch.pb.h"

namespace sluice {

// As runs: the first and the last partition of each, ascending; at most kPartitionRunsMax
// (common/delta_stream.h). Where there are more the narrowest gaps are taken in, so that the runs
// may say too much and never too little.
std::vector<uint32_t> RunsOf(const std::set<uint32_t>& partitions);

// Whether the block may have pieces of one of these. It may have any if it does not say which.
bool MayHave(const proto::BlockInfo& block, const std::set<uint32_t>& partitions);

}  // namespace sluice
