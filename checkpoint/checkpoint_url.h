// Where a checkpoint is: what is typed after --checkpoint=.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace sluice {

// `rocksdb:/absolute/dir`, or `s3://bucket/prefix` with `?spread=first` behind it or not.
struct CheckpointUrl {
  enum class Scheme { kRocksDb, kS3 };
  Scheme scheme = Scheme::kRocksDb;

  std::string directory;  // absolute, without "." or ".." components and without a slash at its end

  std::string bucket;
  std::string prefix;         // without a slash at either end; never empty
  bool spread_first = false;  // the digit that spreads keys goes before the prefix

  bool s3() const { return scheme == Scheme::kS3; }
  std::string objects_path() const { return directory + "/objects"; }
  std::string text() const;
};

// Usage error (exit 2) for an unknown scheme, a path that is not absolute, a bucket or a prefix
// that cannot be, or that could be mistaken for keys of another job; refused (exit 3) for hdfs://,
// which is not in this release.
absl::StatusOr<CheckpointUrl> ParseCheckpointUrl(std::string_view url);

}  // namespace sluice
