#include "worker/executor/taken_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/status.h"
#include "glog/logging.h"
#include "common/passing_error.h"

namespace sluice {
namespace {

constexpr size_t kReadMax = size_t{1} << 30;  // a read takes no more than 2 GiB at once

absl::Status Error(const std::string& path, int error) {
  const std::string text = path + ": " + std::strerror(error);
  if (error == ENOENT) return absl::NotFoundError(text);
  if (!MayPass(error)) return absl::InternalError(text);
  LOG_EVERY_N(WARNING, 20) << "input cannot be read, and is tried again: " << text;
  return absl::UnavailableError(text);
}

}  // namespace

absl::StatusOr<TakenFile> TakenFile::Open(const proto::FileRange& range) {
  const int fd = open(range.path().c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Error(range.path(), errno);
  TakenFile file(range, fd);
  RETURN_IF_ERROR(file.CheckUnchanged());
  return file;
}

TakenFile::TakenFile(TakenFile&& other) noexcept
    : range_(other.range_), fd_(std::exchange(other.fd_, -1)) {}

TakenFile::~TakenFile() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<size_t> TakenFile::Read(uint64_t at, char* to, size_t size) const {
  while (true) {
    const ssize_t got = pread(fd_, to, std::min(size, kReadMax), static_cast<off_t>(at));
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return Error(range_->path(), errno);
  }
}

absl::Status TakenFile::ReadRange(uint64_t begin, uint64_t end, std::string& out) const {
  const size_t start = out.size();
  out.resize(start + (end - begin));
  for (uint64_t at = begin; at < end;) {
    ASSIGN_OR_RETURN(const size_t got, Read(at, out.data() + start + (at - begin), end - at));
    if (got == 0) return absl::FailedPreconditionError(range_->path() + " has become shorter");
    at += got;
  }
  return absl::OkStatus();
}

absl::Status TakenFile::CheckUnchanged() const {
  struct stat now;
  if (fstat(fd_, &now) != 0) return Error(range_->path(), errno);
  const int64_t modified = int64_t{now.st_mtim.tv_sec} * 1'000'000'000 + now.st_mtim.tv_nsec;
  if (static_cast<uint64_t>(now.st_size) == range_->file_size() &&
      modified == range_->modified_ns()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      range_->path() + " was changed after it was taken: it had " +
      std::to_string(range_->file_size()) + " bytes and now has " + std::to_string(now.st_size));
}

}  // namespace sluice
