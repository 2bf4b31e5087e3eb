// Runs a job program in local mode, and gives embedded contexts a runner.
#pragma once

#include "common/exit_code.h"
#include "sluice/local_job.h"

namespace sluice {

// As many tasks at a time: --slots, else the machine's cores.
uint32_t LocalSlots(const ProgramFlags& flags);

// How it ends for its user, who alone starts a local job again: one that could not be started, and
// one that ran.
Outcome OfUser(const absl::Status& status);
Outcome OfUser(const JobEnding& ending);

// To the job's end. SIGINT or SIGTERM drains it; a second one ends it at once with 5.
ExitStatus RunLocal(BuiltProgram program, BuildWithConstants build_again);

}  // namespace sluice
