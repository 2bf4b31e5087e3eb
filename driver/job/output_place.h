// Names in the folder of an output, which may lie on a remote file system: one that is away for a
// while, and one that cannot do all that a local one can.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace sluice {

// ResourceExhausted where there is no room, else Unavailable: it may come back.
absl::Status PlaceError(const std::string& what, int error);

// False only where it is known not to be there.
absl::StatusOr<bool> IsThere(const std::string& path);

// Moves a directory, or a file, to a name that nothing has: 0 or an errno, EEXIST or ENOTEMPTY
// where something has it. Where the file system cannot refuse that itself (NFS, CephFS and others
// know no flags of a rename) a directory may replace an empty one.
int MoveToNewName(const std::string& from, const std::string& to);

// Each gets the name of the other, at once: 0 or an errno, EINVAL where the file system cannot.
int ExchangeNames(const std::string& one, const std::string& other);

}  // namespace sluice
