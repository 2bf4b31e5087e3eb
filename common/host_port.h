// HOST:PORT, as flags have it.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace sluice {

struct HostPort {
  std::string host;
  int port = 0;
};

// HOST:PORT or [IPV6]:PORT; port 0 only where one is to be picked. InvalidArgument names the flag.
absl::StatusOr<HostPort> ParseHostPort(const std::string& flag, const std::string& text,
                                       bool zero_allowed);

}  // namespace sluice
