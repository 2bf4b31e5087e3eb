#include "worker/executor/file_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "common/status.h"

namespace sluice {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;
constexpr uint64_t kBatchBytes = uint64_t{64} << 20;

absl::Status Error(const std::string& path, int error) {
  const std::string text = path + ": " + std::strerror(error);
  return error == ENOENT ? absl::NotFoundError(text) : absl::InternalError(text);
}

absl::Status CheckUnchanged(int fd, const proto::FileRange& range) {
  struct stat now;
  if (fstat(fd, &now) != 0) return Error(range.path(), errno);
  const int64_t modified = int64_t{now.st_mtim.tv_sec} * 1'000'000'000 + now.st_mtim.tv_nsec;
  if (static_cast<uint64_t>(now.st_size) == range.file_size() &&
      modified == range.modified_ns()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      range.path() + " was changed after it was taken: it had " +
      std::to_string(range.file_size()) + " bytes and now has " + std::to_string(now.st_size));
}

// Splits what it is fed into lines.
class LineCutter {
 public:
  LineCutter(const proto::FileRange& range, std::deque<RecordBatch>& out)
      : end_(range.end()), skipping_(range.begin() > 0), out_(out) {}

  // `bytes` lie at `at` in the file. False: no line of the range begins behind them.
  bool Feed(uint64_t at, std::string_view bytes) {
    size_t from = 0;
    while (from < bytes.size()) {
      if (carry_.empty() && at + from >= end_) return false;
      const size_t newline = bytes.find('\n', from);
      if (newline == std::string_view::npos) {
        if (!skipping_) carry_.append(bytes.substr(from));
        return true;
      }
      if (skipping_) {
        skipping_ = false;
      } else if (carry_.empty()) {
        Line(bytes.substr(from, newline - from));
      } else {
        carry_.append(bytes.substr(from, newline - from));
        Line(carry_);
        carry_.clear();
      }
      from = newline + 1;
    }
    return true;
  }
  void EndOfFile() {
    if (!carry_.empty()) Line(carry_);
  }

 private:
  void Line(std::string_view line) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (out_.empty() || out_.back().size() + line.size() > kBatchBytes) out_.emplace_back();
    out_.back().Append(line);
  }

  const uint64_t end_;
  bool skipping_;  // the rest of a line that began before the range
  std::string carry_;
  std::deque<RecordBatch>& out_;
};

class File {
 public:
  explicit File(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

absl::Status ReadFileLines(const proto::FileRange& range, std::deque<RecordBatch>& out) {
  const File file(range.path());
  if (file.fd() < 0) return Error(range.path(), errno);
  RETURN_IF_ERROR(CheckUnchanged(file.fd(), range));
  const auto buffer = std::make_unique<char[]>(kReadBytes);
  LineCutter lines(range, out);
  // One byte early: a line begins at `begin` if a newline lies before it.
  uint64_t at = range.begin() > 0 ? range.begin() - 1 : 0;
  bool more = true;
  while (more && at < range.file_size()) {
    const size_t want = std::min<uint64_t>(kReadBytes, range.file_size() - at);
    const ssize_t got = pread(file.fd(), buffer.get(), want, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error(range.path(), errno);
    if (got == 0) break;  // shorter than it was: found below
    more = lines.Feed(at, {buffer.get(), static_cast<size_t>(got)});
    at += static_cast<uint64_t>(got);
  }
  if (more) lines.EndOfFile();
  return CheckUnchanged(file.fd(), range);
}

}  // namespace sluice
