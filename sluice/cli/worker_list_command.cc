// `sluice worker list`.
#include <iostream>

#include "common/status.h"
#include "driver/daemon/status_json.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/table.h"

namespace sluice::cli {
namespace {

absl::Status ListWorkers(const Typed& typed) {
  ASSIGN_OR_RETURN(bool json, WantsJson(typed));
  ASSIGN_OR_RETURN(auto client, Client::Connect(typed));
  proto::WorkerList workers;
  RETURN_IF_ERROR(client->ListWorkers(&workers));
  std::vector<Row> rows = {{"ID", "ADDRESS", "HOST", "STATE", "SLOTS", "PID", "BLOCKS_BYTES",
                            "UNDER_REPLICATED", "EXECUTORS"}};
  for (const proto::WorkerInfo& w : workers.workers()) {
    if (json) std::cout << daemon::WorkerJson(w) << "\n";
    rows.push_back({w.id(), w.address(), w.host(), w.state(), std::to_string(w.slots()),
                    std::to_string(w.pid()), std::to_string(w.blocks_bytes()),
                    std::to_string(w.under_replicated_blocks()),
                    std::to_string(w.executors_size())});
  }
  if (!json) PrintTable(rows, std::cout);
  return absl::OkStatus();
}

}  // namespace

Command WorkerListCommand() {
  Command command;
  command.name = "worker list";
  command.help = "Lists the workers of the cluster.";
  command.flags = ClientFlags({OutputFlag()});
  command.run = [](const Typed& typed) {
    absl::Status status = ListWorkers(typed);
    return status.ok() ? 0 : Fail(status);
  };
  return command;
}

}  // namespace sluice::cli
