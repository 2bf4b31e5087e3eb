#include "common/host_port.h"

#include <charconv>

namespace sluice {

absl::StatusOr<HostPort> ParseHostPort(const std::string& flag, const std::string& text,
                                       bool zero_allowed) {
  const absl::Status malformed =
      absl::InvalidArgumentError("malformed value of " + flag + ", expected HOST:PORT: '" + text +
                                 "'");
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return malformed;
  HostPort result;
  result.host = text.substr(0, colon);
  const bool bracketed = result.host.front() == '[' && result.host.back() == ']';
  if (!bracketed && result.host.find(':') != std::string::npos) return malformed;
  if (result.host.find_first_of(" /\t@") != std::string::npos) return malformed;
  const char* const begin = text.data() + colon + 1;
  const char* const end = text.data() + text.size();
  const auto [read, error] = std::from_chars(begin, end, result.port);
  const bool too_great = error == std::errc::result_out_of_range;
  if (read != end || (error != std::errc() && !too_great)) return malformed;
  const int least = zero_allowed ? 0 : 1;
  if (too_great || result.port < least || result.port > 65535) {
    return absl::InvalidArgumentError("port out of range " + std::to_string(least) +
                                      "..65535 in " + flag + ": " + text);
  }
  return result;
}

}  // namespace sluice
