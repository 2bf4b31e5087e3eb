// The few things that are done to local files where it matters when they are durable: a seam, so
// that a test can forget what was not synced.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// Thread-safe. Errors: not found, already exists, resource exhausted for a full disk or quota,
// unavailable for all others; the message names the path.
class FileOps {
 public:
  virtual ~FileOps() = default;

  // The operating system's files.
  static FileOps* Posix();

  // Writes at an offset, making the file if need be. Durable after SyncFile.
  virtual absl::Status Write(const std::string& path, uint64_t offset, std::string_view bytes) = 0;
  virtual absl::Status SyncFile(const std::string& path) = 0;
  virtual absl::StatusOr<std::string> Read(const std::string& path) = 0;
  // The directory's entries are durable after SyncDirectory.
  virtual absl::Status LinkIfAbsent(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  virtual absl::Status MakeDirectory(const std::string& path) = 0;  // OK when it is there
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
};

// Makes `path` and what is missing above it, durably.
absl::Status MakeDirectoriesDurably(FileOps* files, const std::string& path);

// "/a/b" of "/a/b/c"; "/" at the top.
std::string ParentOf(const std::string& path);

}  // namespace sluice
