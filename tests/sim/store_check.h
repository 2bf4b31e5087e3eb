// What is in the checkpoint store at the end: all of it can be read (I6), and there is no more than
// is needed (I14).
#pragma once

#include "driver/job/job_state.h"
#include "tests/sim/site.h"

namespace sluice::sim {

// `state` is what the log says at the end. Breaks the site where something is wrong.
void CheckStore(Site& site, const JobState& state);

}  // namespace sluice::sim
