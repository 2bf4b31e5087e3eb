#include "worker/daemon/binary_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/crypto.h"
#include "common/names.h"
#include "common/status.h"
#include "worker/shm/mapping.h"

namespace sluice {
namespace {

absl::StatusOr<std::string> DigestOfFile(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return absl::NotFoundError("no such binary here");
  Sha256 sum;
  std::string buffer(1 << 20, '\0');
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "cannot read " + path);
    if (n == 0) return sum.Hex();
    sum.Add({buffer.data(), static_cast<size_t>(n)});
  }
}

absl::Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return absl::ErrnoToStatus(errno, "cannot write a binary");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> BinaryCache::Get(const std::string& digest) {
  if (!IsDigest(digest)) return absl::InvalidArgumentError("a binary was asked for by no digest");
  const std::string path = directory_ + "/" + digest;
  if (auto present = DigestOfFile(path); present.ok() && *present == digest) return path;
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  const std::string aside = path + ".part";
  absl::Status fetched;
  Sha256 sum;
  {
    UniqueFd fd(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700));
    if (!fd.ok()) return absl::ErrnoToStatus(errno, "cannot store a binary at " + aside);
    fetched = fetch_(digest, [&](std::string_view bytes) {
      sum.Add(bytes);
      return WriteAll(fd.get(), bytes);
    });
  }
  if (fetched.ok() && sum.Hex() != digest) {
    fetched = absl::DataLossError("the binary " + digest + " came with another digest");
  }
  if (fetched.ok() && ::rename(aside.c_str(), path.c_str()) != 0) {
    fetched = absl::ErrnoToStatus(errno, "cannot store a binary at " + path);
  }
  if (!fetched.ok()) {
    ::unlink(aside.c_str());
    return fetched;
  }
  return path;
}

void BinaryCache::Keep(const std::set<std::string>& digests) {
  std::error_code error;
  std::filesystem::directory_iterator entry(directory_, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (!digests.contains(entry->path().filename().string())) ::unlink(entry->path().c_str());
  }
}

}  // namespace sluice
