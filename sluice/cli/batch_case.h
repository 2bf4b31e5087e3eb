// Collects what running a batch again takes into the folder of a case (docs/batch_replay.md).
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "sluice/cli/client.h"

namespace sluice::cli {

// Into `folder`, which is absolute and empty. With `copy_files` input files, too.
// FailedPrecondition says what is not retained; as ReadJobLog for the job's store.
absl::Status CollectCase(Client* client, const proto::JobInfo& job, int64_t batch_ms,
                         const std::string& folder, bool copy_files);

}  // namespace sluice::cli
