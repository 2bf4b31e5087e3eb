// Values that are typed: each is checked before anybody is asked. All errors are InvalidArgument
// (exit code 2) and name the flag.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/host_port.h"
#include "sluice/cli/command_line.h"

namespace sluice::cli {

absl::StatusOr<int64_t> ParseInteger(const std::string& flag, const std::string& text,
                                     int64_t least, int64_t most);
// 200ms, 1s, 5m, 2h.
absl::StatusOr<int64_t> ParseDurationMs(const std::string& flag, const std::string& text);
// [A-Za-z0-9._-]{1,100}, not starting with a dot.
absl::Status CheckName(const std::string& what, const std::string& name);
absl::StatusOr<std::pair<std::string, std::string>> ParseConf(const std::string& text);
// Checkpoint URLs, as ParseCheckpointUrl has them: InvalidArgument for what is typed wrong.
absl::Status CheckCheckpointUrl(const std::string& url);
// What --log takes: InvalidArgument for all but a directory.
absl::Status CheckLogUrl(const std::string& url);
absl::Status CheckFile(const std::string& path);

}  // namespace sluice::cli
