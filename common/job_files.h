// The files that `submit --file` ships with a job, as those who hand them on name them to each
// other: the driver daemon to the job driver, in a file of its `--sluice-data` folder, and the job
// driver to the worker daemons. Each checks what it is told.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

struct JobFile {
  std::string name;    // in the working folders of the job's processes
  std::string digest;  // SHA-256 of its bytes, lower-case hex
  bool operator==(const JobFile&) const = default;
};

inline constexpr size_t kJobFilesMax = 1'000;  // of one job

// In the `--sluice-data` folder: a line "DIGEST  NAME" for each file, as sha256sum writes them.
inline constexpr char kJobFilesFile[] = "files";

// InvalidArgument: no plain name, or one that executors give to folders of their own
// (worker/executor/state_folders.h).
absl::Status CheckJobFileName(std::string_view name);

// InvalidArgument: a name as above, one that stands twice, or no digest. FailedPrecondition: more
// than a job may have.
absl::Status CheckJobFiles(const std::vector<JobFile>& files);

// Replaces what the folder says. Internal: it cannot be written.
absl::Status WriteJobFiles(const std::string& folder, const std::vector<JobFile>& files);

// Internal: the folder does not say, or not as WriteJobFiles does.
absl::StatusOr<std::vector<JobFile>> ReadJobFiles(const std::string& folder);

// A fresh copy of the file `from`, for its user alone, under this name in the folder: there whole
// or not at all. What a process has open there stays as it is. Internal: it cannot be made.
absl::Status PutJobFile(const std::string& from, const std::string& folder,
                        const std::string& name);

}  // namespace sluice
