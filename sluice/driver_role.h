// A process of a job binary in driver role.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/exit_code.h"
#include "common/role_flags.h"
#include "driver/api/streaming_context.h"
#include "driver/job/job_driver_core.h"
#include "proto/cluster.pb.h"
#include "sluice/job_settings.h"
#include "sluice/program_flags.h"

namespace sluice {

// `words`: the command line without the role's flags. Runs the job to its end. When the job has
// failed, and a function of the program does not return, the process ends here, with its word left.
ExitStatus RunDriverRole(const DriverRoleFlags& role, const std::vector<std::string>& words,
                         JobOptions options, BuildFunction build);

// The orderly end of a job driver, for a daemon that is not its parent.
void LeaveWord(const DriverRoleFlags& role, const ExitStatus& status);

// The configuration and the graph of a program, built twice and compared: a build function that
// gives two different graphs is refused.
struct BuiltProgram {
  ProgramFlags flags;  // the checkpoint is the program's where none was typed
  Config config;
  std::unique_ptr<StreamingContext> context;
  std::unique_ptr<StreamingContext> second;  // of the other run of the build function
  std::vector<std::string> program_words;  // for executors
};
// How a program is built.
struct BuildSettings {
  bool complete = true;                       // false: required flags may lack
  std::optional<ConstantValues> constants{};  // in place of those that the program computes
  const proto::JobBegun* shape = nullptr;     // in place of the configured partitions and interval
  Environment environment = Environment::kOfUser;
};
ExitStatus BuildProgram(const std::vector<std::string>& words, JobOptions options,
                        BuildFunction build, const BuildSettings& settings, BuiltProgram* built);
// The same where the flags are taken, and in `built`, already.
ExitStatus BuildContext(const JobOptions& options, BuildFunction build,
                        const BuildSettings& settings, BuiltProgram* built);

// What executors must know to build the same graph.
proto::ExecutorInit InitFor(const StreamingContext& context, const Config& config,
                            const std::string& store_url);

// A job goes by the constants in its log until it is settled, by a drain say: a batch that runs
// again sees what it saw before. `relaunched`, after a crash, it goes by them in any case. Nothing:
// `computed`, what the program asks for with the values that it computed now, is what holds. Else
// all that it is to be built with.
std::optional<ConstantValues> LoggedConstants(const JobState& job, bool relaunched,
                                              const ConstantValues& computed);

// How a job is taken up that has run before.
struct Resume {
  ExitStatus refused;         // it cannot be
  bool finish_first = false;  // what was planned is to be finished in the former shape before
};
// The job before must have been left so that this program can go on, or be the same; and state of
// one name must be of one type in both, and such that it can be divided anew where its number of
// partitions is another one. Else refused (3), with what differs.
Resume CheckResume(const RecoveredJob& job, const Config& config, const LineageGraph& graph);

}  // namespace sluice
