// The job that the simulator runs: real small kernels over pushed records and files.
//
//   pushed, files -> Sum (by key, with state)          -> text files   exact, byte for byte
//   pushed        -> Spread (split by attempt, state)  -> text files   only its totals are defined
//   Sum           -> Print
//
// A record is "producer number", a line of a file "file number"; both are summed by number % 7.
#pragma once

#include <cstdint>
#include <string>

#include "common/plan/graph.h"

namespace sluice::sim {

inline constexpr NodeId kPushedNode = 0;
inline constexpr NodeId kFilesNode = 1;
inline constexpr OutputId kSumOutput = 0;
inline constexpr OutputId kSpreadOutput = 1;
inline constexpr OutputId kPrintOutput = 2;

// `attempts` is counted up by every run of the Spread kernel and decides how it splits.
LineageGraph MakeJob(uint64_t* attempts);

}  // namespace sluice::sim
