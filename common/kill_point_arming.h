// Has this process end where its environment says. For the programs of tests/crash: the target is
// testonly, so no program that is installed links it, and nothing else in the product reads these
// variables or sets the hook of kill_point.h.
//
//   CRASH_POINT=NAME  of a place of kill_point.h
//   CRASH_PASS=N      SIGKILL when it is passed for the N-th time, from 1 on
//   CRASH_NOTE=FILE   made just before
#pragma once

#include "absl/status/status.h"

namespace sluice {

// Before the first thread starts, once. OK and nothing armed without CRASH_POINT; invalid argument,
// in one line and nothing armed, for a name that no place has or a number that is none.
absl::Status ArmKillPointByEnvironment();

}  // namespace sluice
