#include "common/folders.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/passing_error.h"
#include "common/status.h"

namespace sluice {
namespace {

// Syncs a folder that was just made into its parent. One that is not goes, so that the next try
// does not take it for durable.
absl::Status KeepMade(const std::string& path) {
  const absl::Status synced = SyncFolder(FolderOf(path));
  if (!synced.ok()) rmdir(path.c_str());
  return synced;
}

}  // namespace

absl::Status FileError(std::string_view what, const std::string& path) {
  const int error = errno;
  std::string text(what);
  text += " " + path + ": " + std::strerror(error);
  return MayPass(error) ? absl::UnavailableError(text) : absl::InternalError(text);
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status SyncFolder(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return FileError("sync", path);
  const absl::Status synced = fsync(fd) == 0 ? absl::OkStatus() : FileError("sync", path);
  close(fd);
  return synced;
}

absl::Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0777) == 0) return KeepMade(path);
  if (errno == EEXIST) return absl::OkStatus();
  if (errno != ENOENT) return FileError("make directory", path);
  RETURN_IF_ERROR(MakeFolder(FolderOf(path)));
  if (mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) return FileError("make directory", path);
  return KeepMade(path);
}

}  // namespace sluice
