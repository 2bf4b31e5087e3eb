// `sluice worker`: the worker daemon of a node.
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <iostream>
#include <optional>
#include <thread>

#include "common/exit_code.h"
#include "common/net/heap.h"
#include "common/nearest.h"
#include "common/net/security.h"
#include "common/status.h"
#include "common/units.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/daemon_main.h"
#include "sluice/cli/values.h"
#include "worker/daemon/worker_daemon.h"

namespace sluice::cli {
namespace {

const std::vector<std::string> kKeys = {"block_memory", "spill_dir", "drain_deadline",
                                        "ended_jobs_kept"};
constexpr int64_t kSlotsMax = 1024;

absl::Status ReadConf(const Typed& typed, WorkerOptions* options) {
  for (const std::string& text : typed.All("conf")) {
    ASSIGN_OR_RETURN(auto pair, ParseConf(text));
    if (pair.first == "block_memory") {
      std::optional<int64_t> bytes = ParseBytes(pair.second);
      if (!bytes) return absl::InvalidArgumentError("malformed size, expected as 64MiB: " + text);
      options->block_memory = static_cast<uint64_t>(*bytes);
    } else if (pair.first == "spill_dir") {
      options->spill_dir = pair.second;
    } else if (pair.first == "drain_deadline") {
      ASSIGN_OR_RETURN(options->drain_deadline_ms,
                       ParseDurationMs("--conf drain_deadline", pair.second));
    } else if (pair.first == "ended_jobs_kept") {
      ASSIGN_OR_RETURN(options->ended_jobs_kept_ms,
                       ParseDurationMs("--conf ended_jobs_kept", pair.second));
    } else {
      return absl::FailedPreconditionError("unknown configuration key of a worker: " + pair.first +
                                           DidYouMean(pair.first, kKeys));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<WorkerOptions> ReadTyped(const Typed& typed) {
  WorkerOptions options;
  ASSIGN_OR_RETURN(options.driver, DriverAddressOf(typed));
  for (const char* flag : {"data-dir", "slots"}) {
    if (!typed.Has(flag)) return absl::InvalidArgumentError(std::string("needs --") + flag);
  }
  // Executors have working folders of their own.
  std::error_code error;
  options.data_dir = std::filesystem::absolute(typed.Get("data-dir"), error).string();
  ASSIGN_OR_RETURN(int64_t slots, ParseInteger("--slots", typed.Get("slots"), 1, kSlotsMax));
  options.slots = static_cast<uint32_t>(slots);
  ASSIGN_OR_RETURN(HostPort listen,
                   ParseHostPort("--listen", typed.Get("listen", "127.0.0.1:0"), true));
  options.listen_host = listen.host;
  options.listen_port = listen.port;
  options.advertise = typed.Get("advertise");
  RETURN_IF_ERROR(ReadConf(typed, &options));
  ASSIGN_OR_RETURN(options.security, SecurityOf(typed));
  return options;
}

// The first signal drains, the second ends at once.
void AwaitSignals(WorkerDaemon* worker, const std::atomic<bool>* over) {
  constexpr int64_t kLookMs = 200;
  while (!*over && !AwaitStop(kLookMs)) {
  }
  if (*over) return;
  std::cerr << "sluice worker: draining" << std::endl;
  worker->RequestDrain();
  while (!*over && !AwaitStop(kLookMs)) {
  }
  if (!*over) _exit(kExitDeadline);
}

int RunWorker(const Typed& typed) {
  auto options = ReadTyped(typed);
  if (!options.ok()) return Fail(options.status());
  KeepHeap();
  HoldStopSignals();
  LogToStandardError("sluice");
  BindDecision bind = BindPolicy(options->listen_host, options->security);
  std::string note = bind.message.empty() ? "" : "; " + bind.message;
  auto worker = WorkerDaemon::Start(*options);
  if (!worker.ok()) return Fail(worker.status());
  if (absl::Status status = WritePortFile(typed.Get("port-file"), (*worker)->address());
      !status.ok()) {
    return Fail(status);
  }
  std::cerr << "sluice worker: ready, " << (*worker)->worker_id() << " on "
            << (*worker)->address() << ", " << options->slots << " slots" << note << std::endl;
  std::atomic<bool> over = false;
  std::thread signals([&] { AwaitSignals(worker->get(), &over); });
  WorkerDaemon::Ending ending = (*worker)->Wait();
  over = true;
  signals.join();
  if (ending.exit_code != kExitOk) return Fail(ending.exit_code, ending.line);
  std::cerr << "sluice worker: " << (ending.line.empty() ? "ended" : ending.line) << std::endl;
  return kExitOk;
}

}  // namespace

Command WorkerCommand() {
  Command command;
  command.name = "worker";
  command.help =
      "Runs the worker of a node: it holds received blocks and starts executors.\n"
      "SIGTERM drains it; a second one ends it at once.";
  command.flags = {{"driver", "HOST:PORT", "where the driver is, or several; or SLUICE_DRIVER"},
                   {"listen", "HOST:PORT", "where it listens (127.0.0.1:0)"},
                   {"advertise", "HOST", "under which others reach it"},
                   {"slots", "N", "tasks that it runs at a time"},
                   {"data-dir", "DIR", "its id, blocks beyond its memory, executors' output"},
                   {"port-file", "PATH", "receives HOST:PORT once it accepts"},
                   {"conf", "K=V",
                    "block_memory, spill_dir, drain_deadline or ended_jobs_kept; repeated", true}};
  for (Flag& flag : SecurityFlags()) command.flags.push_back(flag);
  command.run = RunWorker;
  return command;
}

}  // namespace sluice::cli
