#include "checkpoint/checkpoint_url.h"

#include "checkpoint/errors.h"

namespace sluice {
namespace {

constexpr std::string_view kRocksDb = "rocksdb:";

absl::Status Unusable(std::string_view url, const std::string& why) {
  return UsageError("checkpoint URL: " + why + ": \"" + std::string(url) + "\"");
}

}  // namespace

absl::StatusOr<CheckpointUrl> ParseCheckpointUrl(std::string_view url) {
  for (std::string_view later : {"s3://", "hdfs://"}) {
    if (!url.starts_with(later)) continue;
    return RefusedError("checkpoint URL: " + std::string(later) +
                        " is not in this release; use rocksdb:/absolute/dir: \"" +
                        std::string(url) + "\"");
  }
  if (!url.starts_with(kRocksDb)) {
    return Unusable(url, "unknown scheme; use rocksdb:/absolute/dir");
  }
  std::string_view path = url.substr(kRocksDb.size());
  if (path.empty() || path[0] != '/') return Unusable(url, "the directory must be absolute");
  if (path.find('\0') != std::string_view::npos) return Unusable(url, "a zero byte in the path");
  CheckpointUrl result;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::string_view component = path.substr(0, path.find('/'));
    if (component == "." || component == "..") {
      return Unusable(url, "the directory must be without \".\" and \"..\"");
    }
    if (!component.empty()) result.directory.append("/").append(component);
    path.remove_prefix(component.size());
  }
  if (result.directory.empty()) return Unusable(url, "the root directory cannot hold one");
  return result;
}

}  // namespace sluice
