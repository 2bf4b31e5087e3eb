// The files into which executors print: logs/JOB/executor-EPOCH-ID.log below the data directory,
// each with what was before in a file beside it (common/spawn.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

namespace sluice {

// Of executors that have ended so many files are kept, the newest ones.
inline constexpr size_t kEndedOutputsOfAJob = 16;
inline constexpr size_t kEndedOutputs = 128;  // of all jobs

std::filesystem::path OutputOf(const std::filesystem::path& logs, const std::string& job,
                               uint64_t epoch, uint32_t executor);
// Removes the others, and folders of jobs that are empty then. `running` are files that somebody
// writes. What cannot be removed stays: it costs space only.
void RemoveOldOutputs(const std::filesystem::path& logs, const std::set<std::string>& running);

}  // namespace sluice
