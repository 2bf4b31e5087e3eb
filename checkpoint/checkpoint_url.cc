#include "checkpoint/checkpoint_url.h"

#include <cctype>

#include "checkpoint/errors.h"

namespace sluice {
namespace {

constexpr std::string_view kRocksDb = "rocksdb:";
constexpr std::string_view kS3 = "s3://";
constexpr std::string_view kHdfs = "hdfs://";
constexpr std::string_view kSpreadFirst = "?spread=first";
constexpr size_t kPrefixComponentsMax = 6;
constexpr size_t kComponentBytesMax = 200;

absl::Status Unusable(std::string_view url, const std::string& why) {
  return UsageError("checkpoint URL: " + why + ": \"" + std::string(url) + "\"");
}

absl::StatusOr<CheckpointUrl> ParseRocksDb(std::string_view url) {
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

bool IsBucket(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  if (name.size() < 3 || name.size() > 63) return false;
  if (!letter(name.front()) || !letter(name.back())) return false;
  for (const char c : name) {
    if (!letter(c) && c != '.' && c != '-') return false;
  }
  return name.find("..") == std::string_view::npos;
}

bool IsPrefixComponent(std::string_view text) {
  if (text.empty() || text.size() > kComponentBytesMax || text[0] == '.') return false;
  for (const char c : text) {
    const bool alnum = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (!alnum && std::string_view("._=+@~-").find(c) == std::string_view::npos) return false;
  }
  return true;
}

// Names that stand between a prefix and its objects, or in front of it: a job there would have its
// objects among those of another one.
bool IsOurs(std::string_view component) {
  if (component.ends_with("-sluice") && component.size() == 8) return true;
  return component.size() == 8 &&
         component.find_first_not_of("0123456789") == std::string_view::npos;
}

absl::StatusOr<CheckpointUrl> ParseS3(std::string_view url) {
  CheckpointUrl result;
  result.scheme = CheckpointUrl::Scheme::kS3;
  std::string_view rest = url.substr(kS3.size());
  if (rest.ends_with(kSpreadFirst)) {
    result.spread_first = true;
    rest.remove_suffix(kSpreadFirst.size());
  }
  const std::string_view bucket = rest.substr(0, rest.find('/'));
  if (!IsBucket(bucket)) return Unusable(url, "no name of a bucket (3 to 63 of a-z 0-9 . -)");
  result.bucket = std::string(bucket);
  rest.remove_prefix(bucket.size());
  while (rest.ends_with('/')) rest.remove_suffix(1);
  size_t components = 0;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the slash
    const std::string_view component = rest.substr(0, rest.find('/'));
    if (!IsPrefixComponent(component) || ++components > kPrefixComponentsMax) {
      return Unusable(url, "a prefix is one to six names of A-Z a-z 0-9 . _ = + @ ~ - that begin "
                           "with no dot, joined by slashes");
    }
    if (IsOurs(component)) {
      return Unusable(url, "a name of eight digits, or like b-sluice, is kept for what is in a "
                           "checkpoint");
    }
    if (!result.prefix.empty()) result.prefix += '/';
    result.prefix.append(component);
    rest.remove_prefix(component.size());
  }
  if (result.prefix.empty()) return Unusable(url, "a prefix of the job's own must follow");
  return result;
}

}  // namespace

std::string CheckpointUrl::text() const {
  if (!s3()) return std::string(kRocksDb) + directory;
  return std::string(kS3) + bucket + "/" + prefix +
         (spread_first ? std::string(kSpreadFirst) : std::string());
}

absl::StatusOr<CheckpointUrl> ParseCheckpointUrl(std::string_view url) {
  if (url.starts_with(kRocksDb)) return ParseRocksDb(url);
  if (url.starts_with(kS3)) return ParseS3(url);
  if (url.starts_with(kHdfs)) {
    return RefusedError("checkpoint URL: hdfs:// is not in this release; use rocksdb:/absolute/dir "
                        "or s3://bucket/prefix: \"" + std::string(url) + "\"");
  }
  return Unusable(url, "unknown scheme; use rocksdb:/absolute/dir or s3://bucket/prefix");
}

}  // namespace sluice
