// Many seeds, each a whole simulated life of a cluster; as many at a time as there are processors.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/run.h"

namespace sluice::sim {

struct SeedsResult {
  uint64_t seeds = 0;      // that ran
  uint64_t events = 0;
  double virtual_s = 0;
  Counters counters;
  // Seeds that broke an invariant, ascending, with the first thing that broke.
  std::vector<std::pair<uint64_t, std::string>> broken;
};

// Adds what other seeds did to `all`.
void Add(const SeedsResult& more, SeedsResult* all);

// Runs the seeds from `first` on; with `until_broken` no further one begins once one is broken.
SeedsResult RunSeeds(uint64_t first, uint64_t count, bool until_broken);

// Of ExpectedCounters(), what never happened.
std::vector<std::string> NeverHappened(const SeedsResult& result);

// One line per counter, then one for the whole.
void Print(const SeedsResult& result);

}  // namespace sluice::sim
