// What must hold at the end of a run: read from the log, the outputs and the acknowledgements.
#pragma once

#include "tests/sim/site.h"

namespace sluice::sim {

// Appends to site.broken what does not hold. Takes the log over: nothing may run any more.
void CheckOutcome(Site& site);

}  // namespace sluice::sim
