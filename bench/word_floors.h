// The best hand-written floors for a set of lines, measured in this run, with their outputs.
#pragma once

#include <algorithm>
#include <string>

#include "bench/floors.h"
#include "bench/table.h"

namespace sluice::bench {

// Million lines per second of one thread, and what came out.
struct GrepFloors {
  double o2 = 0;
  double native = 0;
  uint64_t found = 0;
};
struct WordFloors {
  double o2 = 0;
  double native = 0;
  WordSums sums;
};

GrepFloors MeasureGrepFloors(const Lines& lines, int runs);
WordFloors MeasureWordFloors(const Lines& lines, const std::string& name, int runs);
void ShowPlainLoop(const Lines& lines, const std::string& name, const WordFloors& floors);

}  // namespace sluice::bench
