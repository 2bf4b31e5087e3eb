// One run of the simulator from one seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/job.h"
#include "tests/sim/world.h"

namespace sluice::sim {

struct RunResult {
  std::vector<std::string> broken;  // empty: all invariants hold
  int64_t virtual_us = 0;
  uint64_t events = 0;
  uint64_t rows_compared = 0;       // of outputs, with what the reference gives
};

RunResult RunJob(const Job& job, uint64_t seed, Counters* counters, bool trace);
// The simulator's own job.
RunResult RunSeed(uint64_t seed, Counters* counters, bool trace);

// Every fault and every recovery path that a run of many seeds must have met.
const std::vector<std::string>& ExpectedCounters();

}  // namespace sluice::sim
