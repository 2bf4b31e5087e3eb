// What of a program outlives a change of it: sources by what they read, state by name, outputs by
// where they write. Node numbers do not: an operator more or less shifts them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/plan/stages.h"
#include "proto/log.pb.h"

namespace sluice {

// Fills in sources, states and outputs.
void DescribeProgram(const StagePlan& plan, proto::ProgramSeen* seen);

// From the numbers of one program to those of another, of what both have. A program that says
// nothing of its sources and outputs (none was seen) changes nothing.
struct Renumbering {
  Renumbering(const proto::ProgramSeen& former, const proto::ProgramSeen& now);
  bool changes = false;
  std::map<uint32_t, uint32_t> nodes;    // of sources
  std::map<uint32_t, uint32_t> stages;   // of sources
  std::map<uint32_t, uint32_t> outputs;
};

struct ProgramChange {
  std::string refused;               // state that `now` cannot take, and why; empty: it can
  std::vector<std::string> dropped;  // names of state that it does not have
  std::vector<std::string> fresh;    // names of state that only it has
  // State whose number of partitions is another one now, and what it was.
  std::map<std::string, uint32_t> spread;
};

// State of a checkpoint that the program `former` made, for the program `now`.
ProgramChange CompareState(const proto::ProgramSeen& former, const proto::ProgramSeen& now);

}  // namespace sluice
