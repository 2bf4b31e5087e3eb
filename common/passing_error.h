// Errors that may pass by themselves: no failure of whoever meets one, who waits and tries again.
#pragma once

#include <cerrno>

#include "absl/status/status.h"

namespace sluice {

// Of a file system: a full or read-only disk, a network mount that is away, too many open files.
inline bool MayPass(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EIO:
    case EROFS:
    case ESTALE:
    case ENOTCONN:
    case ETIMEDOUT:
    case EMFILE:
    case ENFILE: return true;
    default: return false;
  }
}

// Of a file system or a bucket, as the status that tells it.
inline bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

}  // namespace sluice
