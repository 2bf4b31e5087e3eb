// `sluice job logs NAME`.
#include <iostream>

#include "common/status.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

absl::Status ShowLogs(const Typed& typed) {
  RETURN_IF_ERROR(CheckName("job name", typed.positional[0]));
  ASSIGN_OR_RETURN(auto client, Client::Connect(typed));
  return client->Logs(typed.positional[0], typed.Has("follow"), [](const proto::LogChunk& chunk) {
    std::cout << chunk.data() << std::flush;
  });
}

}  // namespace

Command JobLogsCommand() {
  Command command;
  command.name = "job logs";
  command.help =
      "Prints what the job driver printed: its standard output (Print, for one) and its log.";
  command.positional = "NAME";
  command.positional_min = command.positional_max = 1;
  command.flags = ClientFlags({{"follow", "", "stay and print what is added, until the job ends"}});
  command.run = [](const Typed& typed) {
    absl::Status status = ShowLogs(typed);
    return status.ok() ? 0 : Fail(status);
  };
  return command;
}

}  // namespace sluice::cli
