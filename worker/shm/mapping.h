// Owners of a file descriptor and of a memory mapping, and the sealed memory files that daemon
// and executors share.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"

namespace sluice {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~UniqueFd() { Close(); }

  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void Close();

 private:
  int fd_ = -1;
};

class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping();

  // Maps the first `bytes` of the file, shared. Refuses a file that is shorter.
  static absl::StatusOr<Mapping> Map(int fd, uint64_t bytes, bool writable);

  char* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

 private:
  char* data_ = nullptr;
  uint64_t bytes_ = 0;
};

// A memory file without a name, of exactly `bytes`, that nobody can shrink or grow.
absl::StatusOr<UniqueFd> NewMemoryFile(const char* label, uint64_t bytes);
// From now on the file can be changed only through writable mappings made before: no write, no
// new writable mapping, no hole, no further seal.
absl::Status SealAgainstOthers(int fd);
// Backs [offset, offset + length) with memory, so that a later write cannot fail.
absl::Status Commit(int fd, uint64_t offset, uint64_t length);
// The seals without which a mapping could be pulled from under its reader.
bool HasSizeSeals(int fd);

}  // namespace sluice
