// Included before all else (-include) in files that are compiled once more: what they take from
// common/protocol_version.h is another release, OTHER_PROTOCOL protocols later.
#pragma once

#define kProtocolVersion kOwnProtocolVersion
#define kReleaseVersion kOwnReleaseVersion
#include "common/protocol_version.h"
#undef kProtocolVersion
#undef kReleaseVersion

namespace sluice {

inline constexpr uint32_t kProtocolVersion = kOwnProtocolVersion + OTHER_PROTOCOL;
inline constexpr char kReleaseVersion[] = "0.1.1-other";

}  // namespace sluice
