// The half of the driver daemon that starts, watches and ends job drivers.
#include <glog/logging.h>

#include <csignal>
#include <filesystem>

#include "common/job_binary.h"
#include "common/job_files.h"
#include "common/net/child_host.h"
#include "common/net/grpc_transport.h"
#include "common/role_flags.h"
#include "common/status.h"
#include "driver/daemon/driver_daemon.h"
#include "driver/daemon/driver_service.h"
#include "driver/daemon/submission.h"

namespace sluice::daemon {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> ArgumentsOf(const StartDriver& start, const DriverRoleFlags& flags) {
  std::vector<std::string> args = FormatRoleFlags(flags);
  const proto::JobSpec& spec = start.spec;
  if (!spec.checkpoint().empty()) args.push_back("--checkpoint=" + spec.checkpoint());
  if (start.first && spec.fresh()) args.push_back("--fresh");
  if (start.first && spec.discard_checkpoint()) args.push_back("--discard-checkpoint");
  for (const auto& [key, value] : spec.conf()) {
    if (key != kMaxSlotsKey) args.push_back("--conf=" + key + "=" + value);
  }
  args.insert(args.end(), spec.args().begin(), spec.args().end());
  return args;
}

}  // namespace

absl::Status DriverDaemon::FillFolder(const StartDriver& command, const std::string& folder) {
  for (const auto& file : command.spec.files()) {
    ASSIGN_OR_RETURN(std::string from, binaries_->PathOf(file.digest()));
    RETURN_IF_ERROR(PutJobFile(from, folder + "/work", file.name()));
  }
  return absl::OkStatus();
}

absl::StatusOr<ProcessId> DriverDaemon::Spawn(const StartDriver& command) {
  const std::string& job = command.spec.name();
  if (!persisted_.ok()) return persisted_;
  ASSIGN_OR_RETURN(std::string binary, binaries_->PathOf(command.spec.binary_digest()));
  std::error_code ignored;
  std::string folder = command.folder;  // of a daemon that was on this host, or is this one
  const bool known = !folder.empty() && fs::exists(folder + "/work", ignored);
  if (known) {
    fs::remove(folder + "/" + kExitCodeFile, ignored);
  } else {
    ASSIGN_OR_RETURN(folder, folder_->MakeRun(job, command.run));
  }
  RETURN_IF_ERROR(FillFolder(command, folder));
  RETURN_IF_ERROR(WriteJobFiles(folder, FilesOf(command.spec)));
  DriverRoleFlags flags{job, address(), ChildHost(options_.host, options_.advertise), folder,
                        command.spec.binary_digest(), command.spec.binary_name(), !command.first};
  SpawnOptions options;
  options.path = binary;
  options.argv0 = ProcessTitle(command.spec.binary_name(), flags);
  options.args = ArgumentsOf(command, flags);
  options.env = JobEnvironment(options_.security, job);
  options.env["SLUICE_TOKEN_FILE"] = "";  // where we may have found ours
  options.directory = folder + "/work";
  options.output = ChildOutput::kDirect;
  options.output_path = folder + "/" + kOutputFile;
  options.ends_with_parent = false;
  auto on_exit = [this, job, folder](const ProcessId& process, const ExitCause& cause) {
    DriverExited exited{job, process.pid, std::nullopt, 0, LastLineOfOutput(folder)};
    if (cause.signaled) {
      exited.signal = cause.number;
    } else {
      exited.exit_code = cause.number;
    }
    loop_->Post([this, exited] { Feed(exited); });
  };
  folders_[job] = folder;
  return spawner_.Start(options, on_exit);
}

void DriverDaemon::Do(const StartDriver& command) {
  const std::string job = command.spec.name();
  absl::StatusOr<ProcessId> process = Spawn(command);
  // Fed behind this step's other commands, and before the news of its end can be.
  if (!process.ok()) {
    follow_ups_.push_back(DriverNotStarted{job, std::string(Message(process.status()))});
    return;
  }
  processes_[job] = *process;
  LOG(INFO) << "job " << job << ": driver started as process " << process->pid;
  follow_ups_.push_back(DriverStarted{job, process->pid, process->start_time, folders_[job]});
}

void DriverDaemon::Do(const WatchDriver& command) {
  ProcessId process{command.pid, command.start_time};
  if (process.start_time == 0) process = FindProcess(command.pid);
  if (process.pid == 0) process = ProcessId{command.pid, 0};  // gone: noticed at the next look
  processes_[command.job] = process;
  const std::string own = folder_->RunFolder(command.job, command.run);
  watched_.push_back(
      Watched{command.job, command.folder.empty() ? own : command.folder, process, false});
}

void DriverDaemon::Do(const EndFormer& command) {
  ProcessId process{command.pid, command.start_time};
  if (command.start_time != 0 && SignalProcess(process, SIGKILL)) {
    LOG(WARNING) << "job " << command.job << ": its former driver did not register; ended process "
                 << command.pid;
  }
  watched_.push_back(Watched{command.job, "", process, true});
}

void DriverDaemon::Do(const KillDriver& command) {
  auto process = processes_.find(command.job);
  if (process != processes_.end() && process->second.pid == command.pid) {
    SignalProcess(process->second, SIGKILL);
  }
}

void DriverDaemon::LookAfterProcesses() {
  std::vector<Watched> gone;
  std::erase_if(watched_, [&](const Watched& watched) {
    bool lives = watched.process.start_time != 0 && ProcessLives(watched.process);
    if (!lives) gone.push_back(watched);
    return !lives;
  });
  for (const Watched& watched : gone) {
    if (watched.former) {
      Feed(FormerEnded{watched.job});
      continue;
    }
    const std::string& folder = watched.folder;
    DriverExited exited{watched.job, watched.process.pid, std::nullopt, 0,
                        LastLineOfOutput(folder)};
    if (int code = ReadExitCode(folder); code >= 0) exited.exit_code = code;
    Feed(exited);
  }
}

absl::Status DriverDaemon::Probe(const std::string& digest) {
  ASSIGN_OR_RETURN(std::string binary, binaries_->PathOf(digest));
  return CheckJobBinary(&spawner_, binary, "the driver's node");
}

}  // namespace sluice::daemon
