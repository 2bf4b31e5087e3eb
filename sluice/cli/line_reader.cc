#include "sluice/cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::cli {
namespace {
constexpr size_t kReadBytes = 256 << 10;
}

std::optional<std::string> LineReader::Next() {
  size_t end = buffer_.find('\n', scanned_);
  if (end == buffer_.npos) {
    scanned_ = buffer_.size();
    if (!ended_ || begin_ == buffer_.size()) return std::nullopt;
    end = buffer_.size();
  }
  std::string line = buffer_.substr(begin_, end - begin_);
  begin_ = scanned_ = std::min(end + 1, buffer_.size());
  return line;
}

absl::StatusOr<bool> LineReader::Fill(int timeout_ms) {
  if (ended_) return false;
  pollfd waiting = {fd_, POLLIN, 0};
  int ready = poll(&waiting, 1, timeout_ms);
  if (ready == 0 || (ready < 0 && errno == EINTR)) return false;
  buffer_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  size_t size = buffer_.size();
  buffer_.resize(size + kReadBytes);
  ssize_t got = read(fd_, buffer_.data() + size, kReadBytes);
  buffer_.resize(size + (got > 0 ? got : 0));
  if (got < 0 && errno != EINTR && errno != EAGAIN) {
    return absl::InternalError(std::string("cannot read the input: ") + std::strerror(errno));
  }
  if (got == 0) ended_ = true;
  return true;
}

}  // namespace sluice::cli
