// `sluice job drain`, `job cancel` and `job accept-loss`.
#include <unistd.h>

#include <iostream>

#include "common/status.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/table.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

void ShowProgress(const proto::JobInfo& job) {
  if (!IsTerminal(STDERR_FILENO)) return;
  std::cerr << "\r" << job.status().job() << " " << job.status().state() << ", "
            << job.status().waiting_batches() << " batches waiting   " << std::flush;
  if (job.ended()) std::cerr << "\n";
}

// Sends the wish and stays until the job has ended.
absl::StatusOr<proto::JobInfo> StopAndAwait(const Typed& typed, Client::Wish wish) {
  const std::string& name = typed.positional[0];
  RETURN_IF_ERROR(CheckName("job name", name));
  int64_t deadline_ms = 0;  // the job's own
  if (typed.Has("deadline")) {
    ASSIGN_OR_RETURN(deadline_ms, ParseDurationMs("--deadline", typed.Get("deadline")));
  }
  ASSIGN_OR_RETURN(auto client, Client::Connect(typed));
  ASSIGN_OR_RETURN(proto::Outcome outcome, client->Ask(wish, name, deadline_ms));
  if (outcome.exit_code() != 0) return absl::NotFoundError(outcome.message());
  proto::JobInfo last;
  RETURN_IF_ERROR(client->Watch(name, [&](const proto::JobInfo& job) {
    last = job;
    ShowProgress(job);
    return false;
  }));
  return last;
}

int Stop(const Typed& typed, Client::Wish wish) {
  absl::StatusOr<proto::JobInfo> job = StopAndAwait(typed, wish);
  return job.ok() ? ExitOfJob(*job) : Fail(job.status());
}

absl::Status AcceptLoss(const Typed& typed) {
  RETURN_IF_ERROR(CheckName("job name", typed.positional[0]));
  ASSIGN_OR_RETURN(auto client, Client::Connect(typed));
  ASSIGN_OR_RETURN(proto::Outcome outcome,
                   client->Ask(Client::Wish::kAcceptLoss, typed.positional[0], 0));
  if (outcome.exit_code() != 0) return absl::NotFoundError(outcome.message());
  std::cout << "the loss of blocks that nobody holds was accepted: " << typed.positional[0]
            << std::endl;
  return absl::OkStatus();
}

Command OneJob(const std::string& name, const std::string& help, std::vector<Flag> flags) {
  Command command;
  command.name = name;
  command.help = help;
  command.positional = "NAME";
  command.positional_min = command.positional_max = 1;
  command.flags = ClientFlags(std::move(flags));
  return command;
}

Flag DeadlineFlag() {
  return {"deadline", "30s", "then it is ended by force (5); else the job's drain_deadline"};
}

}  // namespace

Command JobDrainCommand() {
  Command command = OneJob("job drain",
                           "Ends a job after all it has received is processed, and waits for it.",
                           {DeadlineFlag()});
  command.run = [](const Typed& typed) { return Stop(typed, Client::Wish::kDrain); };
  return command;
}

Command JobCancelCommand() {
  Command command = OneJob("job cancel",
                           "Ends a job at its last decided batch, and leaves what waits. With a\n"
                           "checkpoint it can be submitted again and goes on from there.",
                           {DeadlineFlag()});
  command.run = [](const Typed& typed) { return Stop(typed, Client::Wish::kCancel); };
  return command;
}

Command JobAcceptLossCommand() {
  Command command = OneJob("job accept-loss",
                           "Lets a job go on without received blocks that no worker holds.",
                           {});
  command.run = [](const Typed& typed) {
    absl::Status status = AcceptLoss(typed);
    return status.ok() ? 0 : Fail(status);
  };
  return command;
}

}  // namespace sluice::cli
