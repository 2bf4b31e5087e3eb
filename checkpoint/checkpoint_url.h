// Where a checkpoint is: what is typed after --checkpoint=.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace sluice {

// `rocksdb:/absolute/dir`.
struct CheckpointUrl {
  std::string directory;  // absolute, without "." or ".." components and without a slash at its end

  std::string log_path() const { return directory + "/log"; }
  std::string objects_path() const { return directory + "/objects"; }
  std::string text() const { return "rocksdb:" + directory; }
};

// Usage error (exit 2) for an unknown scheme or a path that is not absolute; refused (exit 3) for
// s3:// and hdfs://, which are not in this release.
absl::StatusOr<CheckpointUrl> ParseCheckpointUrl(std::string_view url);

}  // namespace sluice
