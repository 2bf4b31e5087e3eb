#include "checkpoint/output_marker.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "common/folders.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr std::string_view kText = "Executors of a job look for this file to see this folder.\n";

absl::Status WriteAndSync(int fd, const std::string& path) {
  for (std::string_view left = kText; !left.empty();) {
    const ssize_t written = write(fd, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("write", path);
    left.remove_prefix(static_cast<size_t>(written));
  }
  return fsync(fd) == 0 ? absl::OkStatus() : FileError("sync", path);
}

absl::Status WriteFile(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return FileError("create", path);
  const absl::Status status = WriteAndSync(fd, path);
  close(fd);
  return status;
}

// A file that never has a name, so that whoever is killed leaves nothing. A file system that knows
// no such files has it under `path` for a moment.
absl::Status WriteFleetingFile(const std::string& folder, const std::string& path) {
  int fd = open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  const bool unknown = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL);
  if (unknown) fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return FileError("create", path);
  absl::Status status;
  if (unknown && unlink(path.c_str()) != 0 && errno != ENOENT) status = FileError("remove", path);
  if (status.ok()) status = WriteAndSync(fd, path);
  close(fd);
  return status;
}

}  // namespace

std::string MarkerPath(const OutputPlace& place) {
  char name[80];
  std::snprintf(name, sizeof name, "/.sluice-probe-%016llx-e%llu",
                static_cast<unsigned long long>(place.job_instance),
                static_cast<unsigned long long>(place.epoch));
  const std::string folder = FolderOf(place.prefix);
  return (folder == "/" ? "" : folder) + name;
}

absl::Status MarkFolder(const OutputPlace& place) {
  RETURN_IF_ERROR(MakeFolder(FolderOf(place.prefix)));
  const std::string marker = MarkerPath(place);
  const absl::Status written = WriteFile(marker);
  if (!written.ok()) unlink(marker.c_str());
  return written;
}

absl::Status TryFolder(const OutputPlace& place, uint32_t executor) {
  const std::string marker = MarkerPath(place);
  const int found = open(marker.c_str(), O_RDONLY | O_CLOEXEC);
  if (found < 0 && (errno == ENOENT || errno == ENOTDIR)) {
    return absl::NotFoundError(marker + " is not there");
  }
  if (found < 0) return FileError("open", marker);
  close(found);
  return WriteFleetingFile(FolderOf(place.prefix), marker + "x" + std::to_string(executor));
}

void UnmarkFolder(const OutputPlace& place) { unlink(MarkerPath(place).c_str()); }

bool IsMarkerLeft(const std::string& name, uint64_t job_instance, uint64_t epoch) {
  unsigned long long job = 0, of_epoch = 0;
  char by = 0;
  const int read =
      std::sscanf(name.c_str(), ".sluice-probe-%16llx-e%llu%c", &job, &of_epoch, &by);
  return job == job_instance && ((read == 2 && of_epoch < epoch) || (read == 3 && by == 'x'));
}

}  // namespace sluice
