#include "sluice/executor_graph.h"

#include <utility>

#include "sluice/job_settings.h"

namespace sluice {

absl::StatusOr<ExecutorProgram> BuildForExecutor(const proto::ExecutorInit& init,
                                                 const std::vector<std::string>& words,
                                                 JobOptions options, BuildFunction build) {
  ExecutorProgram program;
  for (const auto& [key, value] : init.conf()) {
    if (key.starts_with("@")) continue;  // between processes of the job only
    const ExitStatus set = program.config.Set(ConfSource::kFlag, key, value);
    if (!set.ok()) return absl::InvalidArgumentError(set.message);
  }
  std::vector<std::string> rest = words;
  const absl::StatusOr<ProgramFlags> flags = TakeProgramFlags(&rest);
  if (!flags.ok()) return flags.status();
  options.args = Args::Parse(rest);
  options.batch_interval = std::chrono::milliseconds(program.config.DurationMs("batch_interval"));
  ConstantValues constants;
  for (const auto& [name, bytes] : init.constants()) constants.emplace_back(name, bytes);
  auto context = std::make_shared<StreamingContext>(std::move(options), std::move(constants));
  const ExitStatus ran = RunBuild(build, *context);
  if (!ran.ok()) return absl::InvalidArgumentError(ran.message);
  const Outcome checked = context->Check();
  if (!checked.ok()) return absl::InvalidArgumentError(checked.message);
  program.graph = std::shared_ptr<const LineageGraph>(context, &context->graph());
  return program;
}

}  // namespace sluice
