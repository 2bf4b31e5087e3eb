#include "worker/executor/file_lines.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "common/status.h"
#include "worker/executor/taken_file.h"

namespace sluice {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;
constexpr uint64_t kBatchBytes = uint64_t{64} << 20;
constexpr uint64_t kLineBytesMax = uint64_t{64} << 20;

// Splits what it is fed into lines.
class LineCutter {
 public:
  LineCutter(const proto::FileRange& range, std::deque<RecordBatch>& out)
      : end_(range.end()), skipping_(range.begin() > 0), out_(out) {}

  // `bytes` lie at `at` in the file. False: no line of the range begins behind them, or too_long().
  bool Feed(uint64_t at, std::string_view bytes) {
    size_t from = 0;
    while (from < bytes.size()) {
      if (carry_.empty() && at + from >= end_) return false;
      const size_t newline = bytes.find('\n', from);
      if (newline == std::string_view::npos) {
        return skipping_ || Carry(at + from, bytes.substr(from));
      }
      if (skipping_) {
        skipping_ = false;
      } else if (carry_.empty()) {
        Line(bytes.substr(from, newline - from));
      } else {
        if (!Carry(at + from, bytes.substr(from, newline - from))) return false;
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
  // Where a line begins that no record can hold.
  const std::optional<uint64_t>& too_long() const { return too_long_; }

 private:
  // A piece of a line, which lies at `at` in the file.
  bool Carry(uint64_t at, std::string_view piece) {
    if (carry_.size() + piece.size() > kLineBytesMax) {
      too_long_ = at - carry_.size();
      return false;
    }
    carry_.append(piece);
    return true;
  }
  void Line(std::string_view line) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (out_.empty() || out_.back().size() + line.size() > kBatchBytes) out_.emplace_back();
    out_.back().Append(line);
  }

  const uint64_t end_;
  bool skipping_;  // the rest of a line that began before the range
  std::string carry_;
  std::optional<uint64_t> too_long_;
  std::deque<RecordBatch>& out_;
};

}  // namespace

absl::Status ReadFileLines(const proto::FileRange& range, std::deque<RecordBatch>& out) {
  ASSIGN_OR_RETURN(const TakenFile file, TakenFile::Open(range));
  const auto buffer = std::make_unique<char[]>(kReadBytes);
  LineCutter lines(range, out);
  // One byte early: a line begins at `begin` if a newline lies before it.
  uint64_t at = range.begin() > 0 ? range.begin() - 1 : 0;
  bool more = true;
  while (more && at < range.file_size()) {
    const size_t want = std::min<uint64_t>(kReadBytes, range.file_size() - at);
    ASSIGN_OR_RETURN(const size_t got, file.Read(at, buffer.get(), want));
    if (got == 0) break;  // shorter than it was: found below
    more = lines.Feed(at, {buffer.get(), got});
    at += got;
  }
  if (lines.too_long().has_value()) {
    return absl::ResourceExhaustedError("line longer than 64 MiB, at byte " +
                                        std::to_string(*lines.too_long()) + " of " + range.path());
  }
  if (more) lines.EndOfFile();
  return file.CheckUnchanged();
}

}  // namespace sluice
