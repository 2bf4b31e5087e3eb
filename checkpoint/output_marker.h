// How the processes of a job find out whether all of them see one folder and may write there: the
// job driver leaves a marker in it, which executors look for (docs/file_outputs.md, “Before the
// first batch”).
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace sluice {

// One output of a job, as a job driver of one epoch goes about it.
struct OutputPlace {
  std::string prefix;
  std::string suffix;
  uint64_t job_instance = 0;
  uint64_t epoch = 0;
};

// The setting that tells an executor to look at this output before it is ready.
inline std::string ProbedOutputKey(uint32_t output) { return "@output " + std::to_string(output); }

// Beside what the prefix names: ".sluice-probe-<job instance>-e<epoch>".
std::string MarkerPath(const OutputPlace& place);

// Errors of both, as FileError (common/folders.h) has them: what may pass by itself is unavailable.
// Makes the folder where there is none, and the marker in it, written and synced.
absl::Status MarkFolder(const OutputPlace& place);
// Not found when the marker is not there. Else makes a file beside it, which has no name, or for a
// moment only, writes it and syncs it.
absl::Status TryFolder(const OutputPlace& place, uint32_t executor);

void UnmarkFolder(const OutputPlace& place);

// Whether a file of this name is left from a job driver of this job before `epoch`, or from an
// executor that ended while it tried the folder.
bool IsMarkerLeft(const std::string& name, uint64_t job_instance, uint64_t epoch);

}  // namespace sluice
