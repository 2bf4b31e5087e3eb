// Gets a job binary from the driver daemon.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/net/security.h"

namespace sluice {

// Takes the bytes in order; an error ends the transfer.
using BinarySink = std::function<absl::Status(std::string_view bytes)>;

// NotFound, with the driver's words: it has no such binary. Unavailable: the driver is away.
// The bytes are not checked here.
absl::Status FetchBinary(const std::string& driver_address, const Security& security,
                         const std::string& digest, const BinarySink& sink);

}  // namespace sluice
