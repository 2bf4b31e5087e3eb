// The main function of a job program, whatever role its process has.
#pragma once

#include "driver/api/streaming_context.h"

namespace sluice {

// Parses the command line and takes the role: local (everything in this process; the default), or
// job driver or executor of a cluster. Returns the exit code; what went wrong is one line on
// standard error. Call it once, first thing in main, and end with its result.
int RunJob(int argc, char** argv, JobOptions options, BuildFunction build);

}  // namespace sluice
