// The folder of a case: a batch of a job with all that running it again takes
// (docs/batch_replay.md).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "proto/replay.pb.h"

namespace sluice {

// In the folder:
inline constexpr char kCaseFile[] = "case.txt";
inline constexpr char kCaseObjects[] = "objects";  // a checkpoint's, received blocks among them
inline constexpr char kCaseFiles[] = "files";      // input files, where they were copied
inline constexpr char kCaseRows[] = "rows.txt";    // of the outputs, once the case was run

// Not found when the folder has none; data loss (exit 8) when it is none. Paths of files are
// absolute, and files in the folder count as unchanged whatever their times.
absl::StatusOr<proto::ReplayCase> ReadCase(const std::string& folder);
absl::Status WriteCase(const std::string& folder, const proto::ReplayCase& the_case);

}  // namespace sluice
