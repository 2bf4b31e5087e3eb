// What the two halves of spawn.h share.
#pragma once

#include <cstdint>

namespace sluice::internal {

// Tells a child which parent it is to end with.
inline constexpr char kParentVariable[] = "SLUICE_PARENT_PID";

int PidFd(int64_t pid);  // -1: there is no such process

}  // namespace sluice::internal
