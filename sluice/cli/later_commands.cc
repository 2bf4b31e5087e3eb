// What the interface names and this release does not have: said plainly, with exit code 3.
#include "common/exit_code.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"

namespace sluice::cli {
namespace {

template <const char* kName>
Command Later(const std::string& positional) {
  Command command;
  command.name = kName;
  command.positional = positional;
  command.positional_min = command.positional_max = 1;
  command.help = "Not in this release.";
  command.flags = ClientFlags({OutputFlag()});
  command.run = [](const Typed&) {
    return Fail(kExitRefused, std::string("not in this release: ") + kName);
  };
  return command;
}

constexpr char kJobCheckpoints[] = "job checkpoints";
constexpr char kWorkerDrain[] = "worker drain";
constexpr char kCheckpointList[] = "checkpoint list";
constexpr char kCheckpointVerify[] = "checkpoint verify";

}  // namespace

std::vector<Command> LaterCommands() {
  return {Later<kJobCheckpoints>("NAME"), Later<kWorkerDrain>("ID"), Later<kCheckpointList>("URL"),
          Later<kCheckpointVerify>("URL")};
}

}  // namespace sluice::cli
