#include "worker/daemon/spill_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/crc32c.h"
#include "worker/shm/mapping.h"

namespace sluice {
namespace {

absl::Status Failed(int error, const std::string& what) {
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(what);
  return absl::ErrnoToStatus(error, what);
}

}  // namespace

absl::Status WriteSpillFile(const std::string& path, std::string_view bytes) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.ok()) return Failed(errno, "cannot make the spill file " + path);
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n == 0 ? ENOSPC : errno;
      ::unlink(path.c_str());
      return Failed(error, "cannot write the spill file " + path);
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadSpillFile(const std::string& path, uint64_t bytes,
                                          uint32_t crc32c) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok() && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
    return absl::ResourceExhaustedError("the spill file " + path + " cannot be opened now");
  }
  if (!fd.ok()) return absl::DataLossError("the spill file " + path + " cannot be opened");
  std::string content(bytes, '\0');
  uint64_t at = 0;
  while (at < bytes) {
    const ssize_t n = ::pread(fd.get(), content.data() + at, bytes - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return absl::DataLossError("the spill file " + path + " cannot be read");
    at += static_cast<uint64_t>(n);
  }
  if (Crc32c(content) != crc32c) {
    return absl::DataLossError("the spill file " + path + " is damaged");
  }
  return content;
}

absl::Status PrepareSpillDirectory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Failed(error.value(), "cannot make the spill directory " + directory);
  for (auto it = std::filesystem::directory_iterator(directory, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    if (name.ends_with(kSpillSuffix)) std::filesystem::remove(it->path(), ignored);
  }
  if (error) return Failed(error.value(), "cannot read the spill directory " + directory);
  return absl::OkStatus();
}

}  // namespace sluice
