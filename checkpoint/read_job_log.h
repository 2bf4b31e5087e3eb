// The log of a job as somebody who is not its driver sees it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/rocksdb_log_follower.h"

namespace sluice {

// The records from `first_slot` on that are durable now, of the job whose checkpoint is at `url`.
// Takes no lock and writes nothing; the job may be running. Damaged when they do not follow each
// other, or `first_slot` was collected; and as OpenObjectStore.
absl::StatusOr<std::vector<FollowedRecord>> ReadJobLog(const std::string& url,
                                                       uint64_t first_slot);

}  // namespace sluice
