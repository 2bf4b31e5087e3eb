// What this build is, to whoever speaks with it.
#pragma once

#include <cstdint>

namespace sluice {

// The protocol that job binaries and daemons speak. One of another protocol is refused.
inline constexpr uint32_t kProtocolVersion = 2;
inline constexpr char kReleaseVersion[] = "0.1.0";

}  // namespace sluice
