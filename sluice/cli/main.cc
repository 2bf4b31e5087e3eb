// The `sluice` command: finds the command that was named and runs it.
#include <cstdlib>
#include <iostream>

#include "common/exit_code.h"
#include "common/role_flags.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/printing.h"

namespace sluice::cli {
namespace {

std::vector<Command> AllCommands() {
  return {
      DriverCommand(),    WorkerCommand(),   SubmitCommand(),        PushCommand(),
      JobListCommand(),   JobStatusCommand(), JobDrainCommand(),     JobCancelCommand(),
      JobLogsCommand(),   JobAcceptLossCommand(), JobCheckpointsCommand(), JobLettersCommand(),
      BatchReplayCommand(), BatchExportCommand(),
      WorkerListCommand(), WorkerDrainCommand(), CheckpointListCommand(),
      CheckpointVerifyCommand(), ConfExplainCommand()};
}

int Run(std::vector<std::string> words) {
  std::vector<Command> commands = AllCommands();
  if (words.empty()) {
    std::cerr << HelpOfAll(commands);
    return kExitUsage;
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    std::cout << HelpOfAll(commands);
    return kExitOk;
  }
  if (words[0] == "--version" || words[0] == "version") {
    std::cout << "sluice " << kReleaseVersion << std::endl;
    return kExitOk;
  }
  auto command = FindCommand(commands, &words);
  if (!command.ok()) return Fail(command.status());
  auto typed = ParseWords(**command, words);
  if (!typed.ok()) return Fail(typed.status());
  if (typed->Has("help")) {
    std::cout << HelpOf(**command);
    return kExitOk;
  }
  return (*command)->run(*typed);
}

}  // namespace
}  // namespace sluice::cli

int main(int argc, char** argv) {
  sluice::HoldStandardDescriptors();
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);  // what it has to say, we say in one line
  return sluice::cli::Run(std::vector<std::string>(argv + 1, argv + argc));
}
