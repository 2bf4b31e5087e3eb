// Folders of outputs on a path, made to stay.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace sluice {

// "what path: text" of errno. Unavailable when it may pass by itself (passing_error.h), else
// internal. So are the errors of all below.
absl::Status FileError(std::string_view what, const std::string& path);

// "/a" of "/a/b"; "/" at the top, "." without a slash.
std::string FolderOf(const std::string& path);

absl::Status SyncFolder(const std::string& path);
// With all that leads to it. What is made here is synced into its parent. OK when it is there.
absl::Status MakeFolder(const std::string& path);

}  // namespace sluice
