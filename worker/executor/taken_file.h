// A file as it was when a batch took it: whoever finds other bytes must not use them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "proto/batch.pb.h"

namespace sluice {

// Closes the file at its end. Not thread-safe.
class TakenFile {
 public:
  // Not found when it is gone; failed precondition, naming the file, when its size or modification
  // time is not what the range says.
  static absl::StatusOr<TakenFile> Open(const proto::FileRange& range);
  TakenFile(TakenFile&& other) noexcept;
  TakenFile& operator=(TakenFile&&) = delete;
  ~TakenFile();

  // As many as `size` bytes from `at` on; 0 at the end of the file.
  absl::StatusOr<size_t> Read(uint64_t at, char* to, size_t size) const;
  // Appends the bytes [begin, end) to `out`; an error when there are fewer.
  absl::Status ReadRange(uint64_t begin, uint64_t end, std::string& out) const;
  // Still what was taken: asked again when all has been read.
  absl::Status CheckUnchanged() const;

 private:
  TakenFile(const proto::FileRange& range, int fd) : range_(&range), fd_(fd) {}
  const proto::FileRange* range_;
  int fd_;
};

}  // namespace sluice
