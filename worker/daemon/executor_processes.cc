#include "worker/daemon/executor_processes.h"

#include <signal.h>

#include <filesystem>
#include <utility>

#include "common/job_binary.h"
#include "common/names.h"
#include "common/role_flags.h"
#include "common/status.h"
#include "worker/daemon/executor_files.h"
#include "worker/daemon/executor_outputs.h"

namespace sluice {
namespace {

ExecutorKey KeyOf(const proto::StartExecutor& request) {
  return {request.job_instance(), request.epoch(), request.executor()};
}

// A signal that a process raises by what it does. Others come from outside.
bool OwnSignal(int number) {
  switch (number) {
    case SIGSEGV:
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGSYS:
    case SIGTRAP:
      return true;
    default:
      return false;
  }
}

ExecutorRoleFlags FlagsOf(const proto::StartExecutor& request,
                          const ExecutorProcessOptions& options) {
  ExecutorRoleFlags flags;
  flags.executor = request.executor();
  flags.epoch = request.epoch();
  flags.instance = request.job_instance();
  flags.job = request.job();
  flags.job_driver = request.job_driver_address();
  flags.worker = options.worker_address;
  flags.worker_id = options.worker_id;
  flags.socket = options.socket;
  flags.host = options.host;
  flags.digest = request.binary_digest();
  flags.kind =
      request.role() == "receivers" ? ExecutorKind::kReceivers : ExecutorKind::kTasks;
  flags.slots = request.slots();
  flags.streams.assign(request.streams().begin(), request.streams().end());
  flags.incarnations.assign(request.incarnations().begin(), request.incarnations().end());
  return flags;
}

}  // namespace

ExecutorProcesses::ExecutorProcesses(ExecutorProcessOptions options, BlockStore* store, Post post)
    : options_(std::move(options)),
      store_(store),
      post_(std::move(post)),
      spawner_(std::make_unique<Spawner>()) {}

ExecutorProcesses::~ExecutorProcesses() {
  {
    std::lock_guard lock(mutex_);
    for (const auto& [key, process] : processes_) {
      if (process.running) spawner_->Signal(process.id, SIGKILL);
    }
  }
  spawner_.reset();
}

void ExecutorProcesses::Start(const worker::StartProcess& command, BinaryCache* cache) {
  const ExecutorKey key = KeyOf(command.request);
  auto spawned = Spawn(command, key, cache);
  worker::ProcessStarted event{key, 0, ""};
  if (spawned.ok()) {
    event.pid = spawned->pid;
  } else {
    event.error = std::string(Message(spawned.status()));
  }
  post_(std::move(event));
}

absl::StatusOr<ProcessId> ExecutorProcesses::Spawn(const worker::StartProcess& command,
                                                   const ExecutorKey& key,
                                                   BinaryCache* cache) {
  const proto::StartExecutor& request = command.request;
  if (!IsName(request.job())) return absl::InvalidArgumentError("the job has an unusable name");
  const std::filesystem::path data(options_.data_dir);
  const std::filesystem::path logs = data / "logs";
  const std::filesystem::path work = data / "work" / request.job();
  std::error_code error;
  RemoveOldOutputs(logs, Outputs());
  std::filesystem::create_directories(logs / request.job(), error);
  if (!error) std::filesystem::create_directories(work, error);
  if (error) {
    return absl::InternalError("cannot make a folder for the executor: " + error.message());
  }
  RETURN_IF_ERROR(PutFiles(request, work, cache));
  ASSIGN_OR_RETURN(TaskBoardHost board, TaskBoardHost::Make());
  std::optional<ArenaHost> arena;
  if (request.role() == "receivers") {
    ASSIGN_OR_RETURN(arena, ArenaHost::Make(options_.arena));
  }
  const ExecutorRoleFlags flags = FlagsOf(request, options_);
  SpawnOptions spawn;
  spawn.path = command.binary_path;
  spawn.argv0 = ProcessTitle(request.program().empty() ? request.job() : request.program(), flags);
  spawn.args = FormatRoleFlags(flags);
  spawn.args.insert(spawn.args.end(), request.args().begin(), request.args().end());
  spawn.env = options_.env;
  for (auto& [name, value] : JobEnvironment(options_.security, request.job())) {
    spawn.env[name] = std::move(value);
  }
  spawn.env["SLUICE_TOKEN_FILE"] = "";  // where the daemon may have found the cluster's
  spawn.directory = work;
  spawn.output = ChildOutput::kPumped;
  spawn.output_path = OutputOf(logs, request.job(), key.epoch, key.executor);
  // Whoever asks for descriptors as this process waits until its pid is entered.
  std::lock_guard starting(start_mutex_);
  {
    std::lock_guard lock(mutex_);
    Process& process = processes_[key];
    process.running = true;
    process.work = work;
    process.output = spawn.output_path;
    process.board.emplace(std::move(board));
    if (arena.has_value()) process.arena.emplace(std::move(*arena));
  }
  const auto started = spawner_->Start(
      spawn, [this, key](const ProcessId&, const ExitCause& cause) { OnExit(key, cause); });
  std::lock_guard lock(mutex_);
  auto found = processes_.find(key);
  if (!started.ok()) {
    processes_.erase(key);
  } else if (found != processes_.end() && found->second.running) {
    found->second.id = *started;
    by_pid_[started->pid] = key;
  }
  return started;
}

absl::Status ExecutorProcesses::CheckBinary(const std::string& path) {
  return CheckJobBinary(spawner_.get(), path,
                        "worker " + options_.worker_id + " (" + options_.host + ")");
}

std::set<std::string> ExecutorProcesses::Outputs() const {
  std::lock_guard lock(mutex_);
  std::set<std::string> outputs;
  for (const auto& [key, process] : processes_) outputs.insert(process.output);
  return outputs;
}

void ExecutorProcesses::OnExit(const ExecutorKey& key, const ExitCause& cause) {
  worker::ProcessReaped event;
  event.executor = key;
  event.cause = cause.Text();
  {
    std::lock_guard lock(mutex_);
    auto found = processes_.find(key);
    if (found == processes_.end()) return;
    Process& process = found->second;
    process.running = false;
    by_pid_.erase(process.id.pid);
    for (const BoardTask& running : process.board->Running()) {
      proto::ExecutorExited::RunningTask task;
      task.set_batch_ms(running.batch_ms);
      task.set_stage(running.stage);
      task.set_task(running.task);
      task.set_record(running.record);
      event.tasks.push_back(std::move(task));
    }
    const auto left = process.arena.has_value() ? process.arena->Left() : std::vector<LeftSlice>();
    for (const LeftSlice& slice : left) {
      const BlockKey block{.job_instance = key.job_instance,
                           .incarnation = slice.incarnation,
                           .number = slice.state == SliceState::kSealed ? slice.number : 0,
                           .stream = slice.stream};
      event.left.push_back({block, slice.reliable, slice.offset, slice.records});
    }
  }
  // A task that calls exit() ends its executor too, whatever the code.
  event.by_itself = !cause.signaled || OwnSignal(cause.number);
  event.own_fault = cause.signaled ? OwnSignal(cause.number) : !event.tasks.empty();
  post_(std::move(event));
}

void ExecutorProcesses::End(const ExecutorKey& executor, bool at_once) {
  std::lock_guard lock(mutex_);
  auto found = processes_.find(executor);
  if (found == processes_.end() || !found->second.running) return;
  spawner_->Signal(found->second.id, at_once ? SIGKILL : SIGTERM);
}

std::optional<ExecutorProcesses::Ended> ExecutorProcesses::Forget(const ExecutorKey& executor) {
  std::lock_guard lock(mutex_);
  auto found = processes_.find(executor);
  if (found == processes_.end() || found->second.running) return std::nullopt;
  Ended ended{std::move(found->second.work), found->second.id.pid};
  processes_.erase(found);
  return ended;
}

std::optional<BatchView> ExecutorProcesses::ArenaView(const ExecutorKey& executor, uint64_t offset,
                                                      uint32_t records) const {
  std::lock_guard lock(mutex_);
  auto found = processes_.find(executor);
  if (found == processes_.end() || !found->second.arena.has_value()) return std::nullopt;
  return found->second.arena->View(offset, records);
}

std::optional<FdSource::Executor> ExecutorProcesses::Identify(int64_t pid) {
  std::lock_guard starting(start_mutex_);
  std::lock_guard lock(mutex_);
  auto key = by_pid_.find(pid);
  if (key == by_pid_.end()) return std::nullopt;
  const Process& process = processes_.at(key->second);
  Executor executor;
  executor.job_instance = key->second.job_instance;
  executor.board_fd = process.board->fd();
  if (process.arena.has_value()) {
    executor.arena_fd = process.arena->fd();
    executor.arena_shape = process.arena->shape();
  }
  return executor;
}

}  // namespace sluice
