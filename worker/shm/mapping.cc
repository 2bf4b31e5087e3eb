#include "worker/shm/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace sluice {
namespace {

absl::Status Failed(const char* what) { return absl::ErrnoToStatus(errno, what); }

}  // namespace

void UniqueFd::Close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

absl::StatusOr<Mapping> Mapping::Map(int fd, uint64_t bytes, bool writable) {
  struct stat st;
  if (::fstat(fd, &st) != 0) return Failed("cannot look at shared memory");
  if (bytes == 0 || static_cast<uint64_t>(st.st_size) < bytes) {
    return absl::OutOfRangeError("shared memory is smaller than announced");
  }
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* data = ::mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return Failed("cannot map shared memory");
  Mapping mapping;
  mapping.data_ = static_cast<char*>(data);
  mapping.bytes_ = bytes;
  return mapping;
}

absl::StatusOr<UniqueFd> NewMemoryFile(const char* label, uint64_t bytes) {
  UniqueFd fd(::memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.ok()) return Failed("cannot make a memory file");
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return Failed("cannot size memory");
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return Failed("cannot seal the size of memory");
  }
  return fd;
}

absl::Status SealAgainstOthers(int fd) {
  if (::fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0) {
    return Failed("cannot seal memory against writing");
  }
  return absl::OkStatus();
}

absl::Status Commit(int fd, uint64_t offset, uint64_t length) {
  int result;
  do {
    result = ::fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return absl::OkStatus();
  if (errno == ENOSPC || errno == ENOMEM) {
    return absl::ResourceExhaustedError("the system has no memory left for blocks");
  }
  return Failed("cannot back memory");
}

bool HasSizeSeals(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && (seals & F_SEAL_GROW) != 0;
}

}  // namespace sluice
