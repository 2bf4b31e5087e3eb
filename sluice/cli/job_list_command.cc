// `sluice job list` and `sluice job status NAME`.
#include <iostream>

#include "absl/strings/str_format.h"
#include "common/status.h"
#include "driver/daemon/status_json.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/table.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

bool IsGood(const proto::JobInfo& job) {
  return job.status().state() != "FAILED" && job.status().state() != "FENCED";
}

absl::Status ListJobs(const Typed& typed) {
  ASSIGN_OR_RETURN(bool json, WantsJson(typed));
  ASSIGN_OR_RETURN(auto client, Client::Connect(typed));
  proto::JobList jobs;
  RETURN_IF_ERROR(client->ListJobs(&jobs));
  std::vector<Row> rows = {{"NAME", "STATE", "EPOCH", "DECIDED", "WAITING", "FAILED", "DELAY_MS",
                            "RECORDS", "SLOTS", "PID", "RESTARTS"}};
  for (const proto::JobInfo& job : jobs.jobs()) {
    const proto::JobStatus& s = job.status();
    if (json) std::cout << daemon::JobJson(job) << "\n";
    rows.push_back({s.job(), s.state(), std::to_string(s.epoch()),
                    std::to_string(s.decided_batches()), std::to_string(s.waiting_batches()),
                    std::to_string(s.failed_batches()), std::to_string(s.scheduling_delay_ms()),
                    std::to_string(s.records_total()), std::to_string(job.slots()),
                    std::to_string(job.driver_pid()), std::to_string(job.driver_restarts())});
  }
  if (!json) PrintTable(rows, std::cout);
  return absl::OkStatus();
}

void PrintJob(const proto::JobInfo& job) {
  const proto::JobStatus& s = job.status();
  std::vector<Row> rows = {
      {"name", s.job()},
      {"state", Coloured(s.state(), IsGood(job))},
      {"epoch, generation", std::to_string(s.epoch()) + ", " + std::to_string(s.generation())},
      {"batch interval", std::to_string(s.batch_interval_ms()) + " ms"},
      {"last decided batch", std::to_string(s.last_decided_batch_ms())},
      {"batches", std::to_string(s.decided_batches()) + " decided, " +
                      std::to_string(s.waiting_batches()) + " waiting, " +
                      std::to_string(s.failed_batches()) + " failed"},
      {"scheduling delay", std::to_string(s.scheduling_delay_ms()) + " ms"},
      {"records", std::to_string(s.records_total())},
      {"slots", std::to_string(job.slots())},
      {"driver", "process " + std::to_string(job.driver_pid()) + ", " +
                     std::to_string(job.driver_restarts()) + " relaunches"}};
  for (const proto::ReceiverPlace& place : s.receivers()) {
    std::string where = place.address().empty() ? "not up" : place.address();
    rows.push_back({"stream " + place.stream(), where});
  }
  for (const proto::SlowWorker& slow : s.slow_workers()) {
    rows.push_back({"slow worker", slow.worker_id() + ", its tasks take " +
                                       absl::StrFormat("%.1f", slow.times()) +
                                       " times as long as those of the others"});
  }
  if (s.straggler_copies() > 0) {
    rows.push_back({"straggler copies", std::to_string(s.straggler_copies()) + " started, " +
                                            std::to_string(s.straggler_copies_won()) +
                                            " were first, " +
                                            std::to_string(s.straggler_copies_differ()) +
                                            " gave something else"});
  }
  if (s.lost_records() > 0) {
    rows.push_back({"lost", std::to_string(s.lost_records()) +
                                " received records, of which no copy is left"});
  }
  if (s.kept_batches() > 0) {
    rows.push_back({"kept aside", "the input of " + std::to_string(s.kept_batches()) +
                                      " skipped batches, in " + s.kept_at()});
  }
  if (s.letters() > 0) {
    rows.push_back({"set aside", std::to_string(s.letters()) + " bad records (" +
                                     std::to_string(s.replayed_letters()) + " run again), in " +
                                     s.letters_at()});
  }
  if (!s.failure().empty()) rows.push_back({"failure", s.failure()});
  PrintTable(rows, std::cout);
}

absl::Status ShowJob(const Typed& typed) {
  ASSIGN_OR_RETURN(bool json, WantsJson(typed));
  RETURN_IF_ERROR(CheckName("job name", typed.positional[0]));
  ASSIGN_OR_RETURN(auto client, Client::Connect(typed));
  ASSIGN_OR_RETURN(proto::JobInfo job, client->JobStatus(typed.positional[0]));
  if (json) {
    std::cout << daemon::JobJson(job) << std::endl;
  } else {
    PrintJob(job);
  }
  return absl::OkStatus();
}

}  // namespace

Command JobListCommand() {
  Command command;
  command.name = "job list";
  command.help = "Lists all jobs, running and ended.";
  command.flags = ClientFlags({OutputFlag()});
  command.run = [](const Typed& typed) {
    absl::Status status = ListJobs(typed);
    return status.ok() ? 0 : Fail(status);
  };
  return command;
}

Command JobStatusCommand() {
  Command command;
  command.name = "job status";
  command.help = "Shows one job.";
  command.positional = "NAME";
  command.positional_min = command.positional_max = 1;
  command.flags = ClientFlags({OutputFlag()});
  command.run = [](const Typed& typed) {
    absl::Status status = ShowJob(typed);
    return status.ok() ? 0 : Fail(status);
  };
  return command;
}

}  // namespace sluice::cli
