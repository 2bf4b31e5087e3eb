// `sluice driver`: the driver daemon of a cluster.
#include <iostream>

#include "common/exit_code.h"
#include "common/net/heap.h"
#include "common/nearest.h"
#include "common/net/security.h"
#include "common/status.h"
#include "driver/daemon/driver_daemon.h"
#include "driver/daemon/table_store.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/daemon_main.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

const std::vector<std::string> kKeys = {"worker_lease", "driver_lease", "drain_deadline",
                                        "slow_workers"};

struct Plan {
  daemon::DriverDaemonOptions daemon;
  int64_t drain_deadline_ms = 30'000;
  bool drain_slow_workers = false;
};

// As a job's configuration has them.
constexpr int64_t kLeaseLeastMs = 50, kDayMs = 24 * 3'600'000;

absl::Status ReadConf(const Typed& typed, Plan* plan) {
  for (const std::string& text : typed.All("conf")) {
    ASSIGN_OR_RETURN(auto pair, ParseConf(text));
    if (pair.first == "slow_workers") {
      if (pair.second != "report" && pair.second != "drain") {
        return absl::InvalidArgumentError("must be report or drain: " + text);
      }
      plan->drain_slow_workers = pair.second == "drain";
      continue;
    }
    int64_t* target = nullptr;
    if (pair.first == "worker_lease") target = &plan->daemon.times.lease_us;
    if (pair.first == "driver_lease") target = &plan->daemon.lease_us;
    if (pair.first == "drain_deadline") target = &plan->drain_deadline_ms;
    if (target == nullptr) {
      return absl::FailedPreconditionError("unknown configuration key of a driver: " + pair.first +
                                           DidYouMean(pair.first, kKeys));
    }
    ASSIGN_OR_RETURN(int64_t ms, ParseDurationMs("--conf " + pair.first, pair.second));
    const bool lease = target != &plan->drain_deadline_ms;
    if (ms < (lease ? kLeaseLeastMs : 1) || ms > (lease ? kDayMs : 30 * kDayMs)) {
      return absl::InvalidArgumentError(
          std::string("must be from ") + (lease ? "50ms to 24h: " : "1ms to 720h: ") + text);
    }
    *target = lease ? ms * 1000 : ms;
  }
  return absl::OkStatus();
}

absl::StatusOr<Plan> ReadTyped(const Typed& typed) {
  Plan plan;
  if (!typed.Has("data-dir")) return absl::InvalidArgumentError("needs --data-dir=DIR");
  plan.daemon.data_dir = typed.Get("data-dir");
  ASSIGN_OR_RETURN(HostPort listen,
                   ParseHostPort("--listen", typed.Get("listen", "127.0.0.1:7077"), true));
  plan.daemon.host = listen.host;
  plan.daemon.port = listen.port;
  plan.daemon.advertise = typed.Get("advertise");
  if (typed.Has("http")) {
    ASSIGN_OR_RETURN(HostPort http, ParseHostPort("--http", typed.Get("http"), true));
    plan.daemon.http = true;
    plan.daemon.http_host = http.host;
    plan.daemon.http_port = http.port;
  } else if (typed.Has("http-port-file")) {
    return absl::InvalidArgumentError("--http-port-file needs --http=HOST:PORT");
  }
  if (typed.Has("store")) {
    plan.daemon.store = typed.Get("store");
    RETURN_IF_ERROR(daemon::CheckTableUrl(plan.daemon.store));
  }
  RETURN_IF_ERROR(ReadConf(typed, &plan));
  if (plan.drain_slow_workers) plan.daemon.times.slow_drain_ms = plan.drain_deadline_ms;
  ASSIGN_OR_RETURN(plan.daemon.security, SecurityOf(typed));
  return plan;
}

absl::Status SayReady(const Typed& typed, const Plan& plan, const daemon::DriverDaemon& daemon) {
  RETURN_IF_ERROR(WritePortFile(typed.Get("port-file"), daemon.address()));
  RETURN_IF_ERROR(WritePortFile(typed.Get("http-port-file"), daemon.http_address()));
  BindDecision bind = BindPolicy(plan.daemon.host, plan.daemon.security);
  std::string http = daemon.http_address().empty() ? "" : ", HTTP on " + daemon.http_address();
  std::string note = bind.message.empty() ? "" : "; " + bind.message;
  const auto leader = daemon.leader();
  const std::string by = leader.self ? ""
                         : leader.address.empty() ? "; it stands by"
                                                  : "; it stands by for " + leader.address;
  std::cerr << "sluice driver: ready, gRPC on " << daemon.address() << http << by << note
            << std::endl;
  return absl::OkStatus();
}

int RunDriver(const Typed& typed) {
  auto plan = ReadTyped(typed);
  if (!plan.ok()) return Fail(plan.status());
  KeepHeap();
  HoldStopSignals();
  LogToStandardError("sluice");
  auto daemon = daemon::DriverDaemon::Start(plan->daemon);
  if (!daemon.ok()) return Fail(daemon.status());
  if (absl::Status status = SayReady(typed, *plan, **daemon); !status.ok()) return Fail(status);
  AwaitStop(-1);
  if (!typed.Has("stop-jobs")) {
    std::cerr << "sluice driver: ending; running jobs go on" << std::endl;
    return kExitOk;
  }
  std::cerr << "sluice driver: draining all jobs" << std::endl;
  bool drained = (*daemon)->DrainJobs(plan->drain_deadline_ms);
  return drained ? kExitOk : Fail(kExitDeadline, "jobs were still running at the deadline");
}

}  // namespace

Command DriverCommand() {
  Command command;
  command.name = "driver";
  command.help =
      "Runs the driver of a cluster: it knows workers and jobs and looks after job drivers.\n"
      "SIGTERM ends it and leaves running jobs running.";
  command.flags = {{"listen", "HOST:PORT", "where it listens (127.0.0.1:7077); port 0 picks one"},
                   {"advertise", "HOST", "under which others reach it"},
                   {"http", "HOST:PORT", "where it serves status pages; port 0 picks one"},
                   {"data-dir", "DIR", "its job table, binaries and the jobs' folders"},
                   {"store", "URL", "keeps the job table there, so that other drivers stand by"},
                   {"port-file", "PATH", "receives HOST:PORT once it accepts"},
                   {"http-port-file", "PATH", "the same for HTTP"},
                   {"stop-jobs", "", "on SIGTERM drain all jobs first"},
                   {"conf", "K=V",
                    "worker_lease, driver_lease, drain_deadline, slow_workers; repeated", true}};
  for (Flag& flag : SecurityFlags()) command.flags.push_back(flag);
  command.run = RunDriver;
  return command;
}

}  // namespace sluice::cli
