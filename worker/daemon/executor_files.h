// The files that were shipped with a job, put where its executors work.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "proto/cluster.pb.h"
#include "worker/daemon/binary_cache.h"

namespace sluice {

// Each file of `request` is in `folder` then, whole and under its name, as a copy that is the job's
// own (mode 0600). What had the name before is replaced; processes that have it open keep it. An
// error names the file: InvalidArgument or FailedPrecondition (CheckJobFiles), one of
// BinaryCache::Get, or Internal: it cannot be written.
absl::Status PutFiles(const proto::StartExecutor& request, const std::string& folder,
                      BinaryCache* cache);

}  // namespace sluice
