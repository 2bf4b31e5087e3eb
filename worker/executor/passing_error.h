// Errors of a file system that may pass by themselves.
#pragma once

#include <cerrno>

namespace sluice {

// A full or read-only disk, a network mount that is away, too many open files: no failure of the
// task that meets it. It waits, and is tried again.
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

}  // namespace sluice
