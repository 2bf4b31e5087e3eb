#include "tests/sim/fault_points.h"

namespace sluice::sim {
namespace {

constexpr double kArmed = 0.25;

// How often an armed point fires of the times that it is passed. Most are passed at every step.
double Rate(FaultPoint point) {
  switch (point) {
    case FaultPoint::kGenerationUnneeded:
      return 0.001;
    case FaultPoint::kSessionAgain:
    case FaultPoint::kInventoryAsked:
      return 0.02;
    case FaultPoint::kCheckpointGivenUp:
    case FaultPoint::kRollEarly:
      return 0.05;
    case FaultPoint::kForgetLater:
    case FaultPoint::kAppendAlone:
      return 0.5;
    default:
      return 0.15;
  }
}

}  // namespace

SimFaultPoints::SimFaultPoints(Site* site, Random* chaos) : site_(site) {
  for (bool& armed : armed_) armed = chaos->Chance(kArmed);
}

bool SimFaultPoints::Fires(FaultPoint point) {
  if (!armed_[static_cast<size_t>(point)] || !site_->Chance(Rate(point))) return false;
  site_->world.Count(CounterOf(point));
  return true;
}

std::string CounterOf(FaultPoint point) { return "fault point: " + std::string(NameOf(point)); }

}  // namespace sluice::sim
