// Lines of a file descriptor, read without waiting longer than asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace sluice::cli {

// One thread. A last line without its newline is a line.
class LineReader {
 public:
  explicit LineReader(int fd) : fd_(fd) {}
  // The next line that is at hand, without its newline.
  std::optional<std::string> Next();
  // Reads what is there, waiting at most `timeout_ms` for it. False: nothing came.
  absl::StatusOr<bool> Fill(int timeout_ms);
  bool ended() const { return ended_ && begin_ == buffer_.size(); }

 private:
  const int fd_;
  std::string buffer_;
  size_t begin_ = 0;    // of the line at hand
  size_t scanned_ = 0;  // no newline in [begin_, scanned_)
  bool ended_ = false;
};

}  // namespace sluice::cli
