// From flags, environment, file and program to what the parts of a job are given.
#pragma once

#include <string>

#include "common/config.h"
#include "driver/api/streaming_context.h"
#include "driver/job/job_options.h"
#include "sluice/program_flags.h"

namespace sluice {

// Runs the program's build function. What it throws ends in words (1).
ExitStatus RunBuild(BuildFunction build, StreamingContext& context);

// Whose SLUICE_KEY count. Those of a submission come as flags; a job driver's own are its daemon's.
enum class Environment { kOfUser, kOfDaemon };

// Resolves the configuration of a job program, the program's own settings included.
ExitStatus ResolveConfig(const ProgramFlags& flags, const JobOptions& program, Config* config,
                         Environment environment = Environment::kOfUser);

// Refused (3) where the program names a checkpoint and the command line does not, from which alone
// the driver daemon knows it.
ExitStatus CheckCheckpointTyped(const ProgramFlags& flags, const JobOptions& program);

// Refused (3) when the received-data log is on and there is no checkpoint URL to keep it in.
ExitStatus CheckReceivedLog(const Config& config, const std::string& checkpoint);

// Refused (3) when a queue is not marked test_only and the job has a store that outlives it:
// state is taken up from there, and the queue begins anew.
ExitStatus CheckQueueStreams(const LineageGraph& graph, const std::string& store);

// A usage error (2) when a source has a directory below the one that this process works in: it was
// typed relative to that, and no other process of a cluster works there.
ExitStatus CheckDirectories(const LineageGraph& graph);

// What the job driver takes from it; names and addresses are left to the caller.
JobDriverOptions DriverOptionsFrom(const Config& config);

// Settings that travel to executors, and the one extra that only processes of the job exchange.
inline constexpr char kStoreUrlKey[] = "@store";

}  // namespace sluice
