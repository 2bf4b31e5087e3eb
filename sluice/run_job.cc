#include "sluice/run_job.h"

#include <signal.h>

#include <iostream>
#include <string>
#include <vector>

#include "common/net/heap.h"
#include "common/plan/stages.h"
#include "common/role_flags.h"
#include "glog/logging.h"
#include "sluice/driver_role.h"
#include "sluice/executor_role.h"
#include "sluice/job_settings.h"
#include "sluice/local_runner.h"
#include "sluice/printing.h"
#include "sluice/replay_role.h"

namespace sluice {
namespace {

constexpr char kFlagHelp[] =
    "Sluice's own flags:\n"
    "  --explain              print the stages and exit\n"
    "  --conf=KEY=VALUE       a setting; `sluice conf explain` lists them\n"
    "  --conf-file=PATH       settings, one `key = value` per line\n"
    "  --checkpoint=URL       keep log and state there and resume from there:\n"
    "                         rocksdb:/absolute/dir or s3://bucket/prefix\n"
    "  --log=URL              rocksdb:/absolute/dir: the log alone, of a checkpoint in s3://\n"
    "  --fresh                start anew; with --discard-checkpoint also where a checkpoint is\n"
    "  --overwrite            replace batches of output that another job left\n"
    "  --slots=N              tasks at a time (local)\n"
    "  --http=HOST:PORT       serve health and metrics (local)\n"
    "  --help, --version\n";

int End(const std::string& program, const ExitStatus& status) {
  if (!status.message.empty()) std::cerr << program << ": " << status.message << std::endl;
  return status.code;
}

ExitStatus Explain(const BuiltProgram& program) {
  const int64_t partitions = program.config.Number("partitions");
  const uint32_t count = partitions != 0 ? static_cast<uint32_t>(partitions)
                                         : 4 * LocalSlots(program.flags);
  std::cout << StagePlan(program.context->graph(), count).Explain();
  return {};
}

void Help(const std::string& program, const StreamingContext& context) {
  std::cout << "usage: " << program << " [flags]\n\nThe program's flags:\n";
  for (const std::string& name : context.options().args.asked()) {
    std::cout << "  --" << name << "\n";
  }
  std::cout << "\n" << kFlagHelp;
}

ExitStatus RunLocalRole(const std::string& name, const std::vector<std::string>& words,
                        const JobOptions& options, BuildFunction build) {
  std::vector<std::string> rest = words;
  const absl::StatusOr<ProgramFlags> flags = TakeProgramFlags(&rest);
  const bool shows = flags.ok() && (flags->explain || flags->help || flags->version);
  if (flags.ok() && flags->version) {
    std::cout << name << " on Sluice " << kReleaseVersion << "\n";
    return {};
  }
  BuiltProgram program;
  const ExitStatus built = BuildProgram(words, options, build, {.complete = !shows}, &program);
  if (flags.ok() && flags->help && program.context != nullptr) {
    Help(name, *program.context);
    return {};
  }
  if (!built.ok()) return built;
  if (flags->explain) return Explain(program);
  return RunLocal(std::move(program), [&](const ConstantValues& constants, BuiltProgram* again) {
    return BuildProgram(words, options, build, {.constants = constants}, again);
  });
}

// For `sluice conf explain`: the program's own flags beside --conf and --conf-file do not matter.
ExitStatus ExplainConf(std::vector<std::string> words, const JobOptions& options) {
  const absl::StatusOr<ProgramFlags> flags = TakeProgramFlags(&words);
  if (!flags.ok()) return {kExitUsage, std::string(flags.status().message())};
  Config config;
  const ExitStatus resolved = ResolveConfig(*flags, options, &config);
  if (!resolved.ok()) return resolved;
  std::cout << config.Explain() << std::flush;
  return {};
}

}  // namespace

int RunJob(int argc, char** argv, JobOptions options, BuildFunction build) {
  HoldStandardDescriptors();
  KeepHeap();
  signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> words(argv + 1, argv + argc);
  if (const auto folder = TakeCaseFlag(&words)) {
    FLAGS_logtostderr = true;
    FLAGS_minloglevel = google::WARNING;
    google::InitGoogleLogging(argv[0]);
    return End(options.name, RunReplayRole(*folder, words, options, build));
  }
  const absl::StatusOr<RoleFlags> role = TakeRoleFlags(&words);
  if (!role.ok()) return End(options.name, {kExitUsage, std::string(role.status().message())});
  if (role->role == Role::kDescribe) {
    std::cout << DescribeLine() << std::endl;
    return 0;
  }
  if (role->role == Role::kExplainConf) return End(options.name, ExplainConf(words, options));
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = role->role == Role::kLocal ? google::WARNING : google::INFO;
  google::InitGoogleLogging(argv[0]);
  switch (role->role) {
    case Role::kDriver: {
      const ExitStatus end = RunDriverRole(role->driver, words, options, build);
      LeaveWord(role->driver, end);
      return End(options.name, end);
    }
    case Role::kExecutor:
      return End(options.name, RunExecutorRole(role->executor, words, options, build));
    default:
      return End(options.name, RunLocalRole(options.name, words, options, build));
  }
}

}  // namespace sluice
