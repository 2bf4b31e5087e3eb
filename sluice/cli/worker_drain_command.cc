// `sluice worker drain ID`.
#include <unistd.h>

#include <iostream>
#include <thread>

#include "common/status.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/table.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

constexpr char kDefaultDeadline[] = "30s";  // drain_deadline
constexpr auto kLookEvery = std::chrono::milliseconds(100);
constexpr int64_t kGraceMs = 5'000;  // beyond the deadline, for the last word to come

// DRAINED, FORCED, or LOST when it went without a word.
absl::StatusOr<std::string> AwaitEnd(Client& client, const std::string& id, int64_t deadline_ms) {
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::milliseconds(deadline_ms + kGraceMs);
  while (std::chrono::steady_clock::now() < until) {
    proto::WorkerList workers;
    RETURN_IF_ERROR(client.ListWorkers(&workers));
    std::string state = "LOST";
    for (const proto::WorkerInfo& worker : workers.workers()) {
      if (worker.id() != id) continue;
      state = worker.state();
      if (IsTerminal(STDERR_FILENO)) {
        std::cerr << "\r" << id << " " << state << ", " << worker.blocks_bytes()
                  << " bytes of blocks   " << std::flush;
      }
    }
    if (state != "UP" && state != "DRAINING") return state;
    std::this_thread::sleep_for(kLookEvery);
  }
  return absl::DeadlineExceededError("the worker has not ended at the deadline: " + id);
}

absl::Status Drain(const Typed& typed) {
  const std::string& id = typed.positional[0];
  RETURN_IF_ERROR(CheckName("worker id", id));
  ASSIGN_OR_RETURN(int64_t deadline_ms,
                   ParseDurationMs("--deadline", typed.Get("deadline", kDefaultDeadline)));
  ASSIGN_OR_RETURN(auto client, Client::Connect(typed));
  RETURN_IF_ERROR(client->DrainWorker(id, deadline_ms));
  ASSIGN_OR_RETURN(const std::string state, AwaitEnd(*client, id, deadline_ms));
  if (state != "DRAINED") {
    return absl::DeadlineExceededError("the worker ended before all was handed over (" + state +
                                       "): " + id);
  }
  std::cout << id << " drained" << std::endl;
  return absl::OkStatus();
}

}  // namespace

Command WorkerDrainCommand() {
  Command command;
  command.name = "worker drain";
  command.help =
      "Ends a worker after what only it holds is with its peers, and waits for it.\n"
      "Ends 5 when the deadline passed first: the worker has ended all the same.";
  command.positional = "ID";
  command.positional_min = command.positional_max = 1;
  command.flags = ClientFlags({{"deadline", kDefaultDeadline, "then it is ended by force (5)"}});
  command.run = [](const Typed& typed) {
    absl::Status status = Drain(typed);
    return status.ok() ? 0 : Fail(status);
  };
  return command;
}

}  // namespace sluice::cli
