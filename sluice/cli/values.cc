#include "sluice/cli/values.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

#include "checkpoint/checkpoint_url.h"
#include "common/names.h"
#include "common/units.h"

namespace sluice::cli {
namespace {

absl::Status Malformed(const std::string& flag, const std::string& expected,
                       const std::string& text) {
  return absl::InvalidArgumentError("malformed value of " + flag + ", expected " + expected +
                                    ": '" + text + "'");
}

bool ReadNumber(const std::string& text, int64_t* value) {
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, *value);
  return error == std::errc() && stop == end;
}

}  // namespace

absl::StatusOr<int64_t> ParseInteger(const std::string& flag, const std::string& text,
                                     int64_t least, int64_t most) {
  int64_t value = 0;
  if (!ReadNumber(text, &value)) return Malformed(flag, "a number", text);
  if (value < least || value > most) {
    return absl::InvalidArgumentError("value of " + flag + " out of range " +
                                      std::to_string(least) + ".." + std::to_string(most) + ": " +
                                      text);
  }
  return value;
}

absl::StatusOr<int64_t> ParseDurationMs(const std::string& flag, const std::string& text) {
  if (auto value = sluice::ParseDurationMs(text)) return *value;
  return Malformed(flag, "a duration as 200ms, 1s or 5m", text);
}

absl::Status CheckName(const std::string& what, const std::string& name) {
  if (IsName(name)) return absl::OkStatus();
  return absl::InvalidArgumentError("a " + what +
                                    " is 1 to 100 of A-Z a-z 0-9 . _ - and starts with no dot: '" +
                                    name + "'");
}

absl::StatusOr<std::pair<std::string, std::string>> ParseConf(const std::string& text) {
  size_t equals = text.find('=');
  if (equals == text.npos || equals == 0) return Malformed("--conf", "KEY=VALUE", text);
  const absl::Status named = CheckName("configuration key", text.substr(0, equals));
  if (!named.ok()) return named;
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

absl::Status CheckCheckpointUrl(const std::string& url) {
  return ParseCheckpointUrl(url).status();
}

absl::Status CheckLogUrl(const std::string& url) {
  const absl::StatusOr<CheckpointUrl> parsed = ParseCheckpointUrl(url);
  if (parsed.ok() && !parsed->s3()) return absl::OkStatus();
  return absl::InvalidArgumentError("a log apart from its checkpoint is rocksdb:/absolute/dir: '" +
                                    url + "'");
}

absl::Status CheckFile(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return absl::InvalidArgumentError(std::string(std::strerror(errno)) + ": " + path);
  }
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("not a regular file: " + path);
  if (access(path.c_str(), R_OK) != 0) {
    return absl::InvalidArgumentError(std::string(std::strerror(errno)) + ": " + path);
  }
  return absl::OkStatus();
}

}  // namespace sluice::cli
