#include "checkpoint/file_ops.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "common/status.h"

namespace sluice {
namespace {

absl::Status ErrorOf(int error, const std::string& what, const std::string& path) {
  const std::string message =
      what + " " + path + ": " + std::error_code(error, std::generic_category()).message();
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::UnavailableError(message);
  }
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  bool ok() const { return fd_ >= 0; }
  int get() const { return fd_; }

 private:
  int fd_;
};

class PosixFileOps : public FileOps {
 public:
  absl::Status Write(const std::string& path, uint64_t offset, std::string_view bytes) override {
    const Descriptor file(path, O_WRONLY | O_CREAT);
    if (!file.ok()) return ErrorOf(errno, "cannot open", path);
    while (!bytes.empty()) {
      const ssize_t written =
          ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrorOf(errno, "cannot write", path);
      bytes.remove_prefix(static_cast<size_t>(written));
      offset += static_cast<uint64_t>(written);
    }
    return absl::OkStatus();
  }

  absl::Status SyncFile(const std::string& path) override {
    const Descriptor file(path, O_RDWR);
    if (!file.ok()) return ErrorOf(errno, "cannot open", path);
    if (::fdatasync(file.get()) != 0) return ErrorOf(errno, "cannot sync", path);
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Read(const std::string& path) override {
    const Descriptor file(path, O_RDONLY);
    if (!file.ok()) return ErrorOf(errno, "cannot open", path);
    struct stat info;
    if (::fstat(file.get(), &info) != 0) return ErrorOf(errno, "cannot read", path);
    std::string bytes(static_cast<size_t>(info.st_size), '\0');
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got = ::pread(file.get(), bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrorOf(errno, "cannot read", path);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    bytes.resize(done);
    return bytes;
  }

  absl::Status LinkIfAbsent(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    return ErrorOf(errno, "cannot link", to);
  }

  absl::Status Remove(const std::string& path) override {
    if (::unlink(path.c_str()) == 0) return absl::OkStatus();
    return ErrorOf(errno, "cannot remove", path);
  }

  absl::Status MakeDirectory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return absl::OkStatus();
    return ErrorOf(errno, "cannot make", path);
  }

  absl::Status SyncDirectory(const std::string& path) override {
    const Descriptor directory(path, O_RDONLY | O_DIRECTORY);
    if (!directory.ok()) return ErrorOf(errno, "cannot open", path);
    if (::fsync(directory.get()) != 0) return ErrorOf(errno, "cannot sync", path);
    return absl::OkStatus();
  }
};

}  // namespace

FileOps* FileOps::Posix() {
  static PosixFileOps files;
  return &files;
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status MakeDirectoriesDurably(FileOps* files, const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return absl::OkStatus();
  const std::string parent = ParentOf(path);
  if (parent != path) RETURN_IF_ERROR(MakeDirectoriesDurably(files, parent));
  RETURN_IF_ERROR(files->MakeDirectory(path));
  const absl::Status synced = files->SyncDirectory(parent);
  // So that the next try does not take it for durable. One with something in it stays.
  if (!synced.ok()) ::rmdir(path.c_str());
  return synced;
}

}  // namespace sluice
