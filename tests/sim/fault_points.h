// The fault points of the cores (common/fault_point.h) in one run: which are armed, and when they
// fire.
#pragma once

#include <array>

#include "common/fault_point.h"
#include "tests/sim/random.h"
#include "tests/sim/site.h"

namespace sluice::sim {

class SimFaultPoints : public FaultPoints {
 public:
  // Draws from `chaos` which points this run has: one of four.
  SimFaultPoints(Site* site, Random* chaos);
  // Never once the run has become calm.
  bool Fires(FaultPoint point) override;

 private:
  Site* const site_;
  std::array<bool, static_cast<size_t>(FaultPoint::kCount)> armed_{};
};

// What a run of many seeds must have met: "fault point: tick later".
std::string CounterOf(FaultPoint point);

}  // namespace sluice::sim
