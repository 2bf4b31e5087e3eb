// One spilled block in one file.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// Writes a new file, whole or not at all. ResourceExhausted: the disk is full.
absl::Status WriteSpillFile(const std::string& path, std::string_view bytes);
// DataLoss when the file is not what was written; ResourceExhausted when the process or the node is
// short of what it takes to open it.
absl::StatusOr<std::string> ReadSpillFile(const std::string& path, uint64_t bytes,
                                          uint32_t crc32c);
// Makes the directory, and removes the spill files in it.
absl::Status PrepareSpillDirectory(const std::string& directory);

inline constexpr std::string_view kSpillSuffix = ".block";

}  // namespace sluice
