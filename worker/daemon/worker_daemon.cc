#include "worker/daemon/worker_daemon.h"

#include <glog/logging.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "common/event_loop.h"
#include "common/net/child_host.h"
#include "common/net/grpc_transport.h"
#include "common/status.h"
#include "worker/daemon/block_store.h"
#include "worker/daemon/data_dir.h"
#include "worker/daemon/executor_processes.h"
#include "worker/daemon/worker_shell.h"
#include "worker/executor/state_folders.h"
#include "worker/shm/fd_server.h"

namespace sluice {
namespace {

constexpr int64_t kLastWordsUs = 1'000'000;  // for what is queued when the daemon ends

// Of executors of all jobs: none of them lives, or is to live on.
void RemoveAllState(const std::string& data_dir) {
  std::error_code error;
  std::filesystem::directory_iterator it(data_dir + "/work", error);
  for (const std::filesystem::directory_iterator end; !error && it != end; it.increment(error)) {
    RemoveStateFolders(it->path(), [](int64_t) { return true; });
  }
}

}  // namespace

class WorkerDaemon::Impl : public WorkerShell {
 public:
  Impl(WorkerOptions options, DataDir dir, std::unique_ptr<EventLoop> loop,
       std::unique_ptr<BlockStore> store)
      : WorkerShell(loop.get(), store.get()),
        options_(std::move(options)),
        dir_(std::move(dir)),
        loop_(std::move(loop)),
        store_(std::move(store)),
        binaries_(options_.data_dir + "/binaries",
                  options_.fetch_binary
                      ? options_.fetch_binary
                      : [this](const std::string& digest, const BinarySink& sink) {
                          return sluice::FetchBinary(fetch_from_, options_.security, digest, sink);
                        }) {}

  ~Impl() override { Close(); }

  absl::Status Open() {
    GrpcTransportOptions net;
    net.host = options_.listen_host;
    net.port = options_.listen_port;
    net.advertise = options_.advertise;
    net.security = options_.security;
    ASSIGN_OR_RETURN(transport_, GrpcTransport::Start(std::move(net), this));
    const std::string host =
        options_.advertise.empty() ? options_.listen_host : options_.advertise;
    ExecutorProcessOptions processes;
    processes.worker_id = dir_.worker_id;
    processes.worker_address = transport_->address();
    processes.host = ChildHost(options_.listen_host, options_.advertise);
    processes.socket = options_.data_dir + "/descriptors";
    processes.data_dir = options_.data_dir;
    processes.security = options_.security;
    processes.env = options_.executor_env;
    processes_ = std::make_unique<ExecutorProcesses>(
        processes, store_.get(), [this](worker::Event event) { Post(std::move(event)); });
    ASSIGN_OR_RETURN(fd_server_, FdServer::Start(processes.socket, processes_.get()));
    WorkerConfig config;
    config.worker_id = dir_.worker_id;
    config.incarnation = RandomId();
    config.address = transport_->address();
    config.host = host;
    config.slots = options_.slots;
    config.pid = getpid();
    config.driver_address = options_.driver;
    config.ended_jobs_kept_us = options_.ended_jobs_kept_ms * 1000;
    Begin(config, transport_.get());
    return absl::OkStatus();
  }

  const std::string& address() const { return transport_->address(); }
  const std::string& worker_id() const { return dir_.worker_id; }

  void RequestDrain() {
    Post(worker::DrainRequested{loop_->clock().MonotonicUs() +
                                options_.drain_deadline_ms * 1000});
  }

  Ending Wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return ending_.has_value(); });
    return *ending_;
  }

 protected:
  void StartProcess(const worker::StartProcess& command) override {
    starter_.PostNow([this, command] {
      fetch_from_ = command.driver;
      processes_->Start(command, &binaries_);
    });
  }
  void EndProcess(const worker::EndProcess& command) override {
    processes_->End(command.executor, command.at_once);
  }
  void FetchBinary(const worker::FetchBinary& command) override {
    starter_.PostNow([this, digest = command.digest, driver = command.driver] {
      fetch_from_ = driver;
      const auto path = binaries_.Get(digest);
      absl::Status status = path.status();
      if (status.ok()) status = processes_->CheckBinary(*path);
      worker::BinaryReady event{digest, path.ok() ? *path : "", "", false};
      if (!status.ok()) {
        event.error = std::string(Message(status));
        event.refused = path.ok() && absl::IsFailedPrecondition(status);
      }
      Post(std::move(event));
    });
  }
  // In its turn: what was asked for before this has been fetched and is in use, or is named.
  void KeepBinaries(const worker::KeepBinaries& command) override {
    starter_.PostNow([this, digests = command.digests] { binaries_.Keep(digests); });
  }
  // Its state on disk goes with it, which may take a moment where it is large.
  void ForgetExecutor(const ExecutorKey& executor) override {
    const auto ended = processes_->Forget(executor);
    if (!ended.has_value()) return;
    starter_.PostNow([ended = *ended] {
      RemoveStateFolders(ended.work, [&](int64_t pid) { return pid == ended.pid; });
    });
  }
  void Exit(const worker::Exit& command) override {
    LOG(INFO) << "worker ends: " << command.line;
    std::lock_guard lock(mutex_);
    if (!ending_.has_value()) ending_ = Ending{command.code, command.line};
    ended_.notify_all();
  }
  std::optional<BatchView> ArenaView(const ExecutorKey& executor, uint64_t offset,
                                     uint32_t records) override {
    return processes_->ArenaView(executor, offset, records);
  }

 private:
  void Close() {
    End();
    starter_.Stop();
    store_->StopDisk();
    if (transport_ != nullptr) transport_->Shutdown(kLastWordsUs);
    transport_.reset();
    fd_server_.reset();
    processes_.reset();
    RemoveAllState(options_.data_dir);
    loop_->Stop();
  }

  const WorkerOptions options_;
  const DataDir dir_;
  const std::unique_ptr<EventLoop> loop_;
  const std::unique_ptr<BlockStore> store_;
  std::string fetch_from_;  // the driver that leads; on the starter's thread
  BinaryCache binaries_;
  // Fetches binaries and files and starts executors, which take their time.
  EventLoop starter_{EventLoop::Options{.name = "starter"}};
  std::unique_ptr<ExecutorProcesses> processes_;
  std::unique_ptr<FdServer> fd_server_;
  std::unique_ptr<GrpcTransport> transport_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::optional<Ending> ending_;
};

WorkerDaemon::WorkerDaemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WorkerDaemon::~WorkerDaemon() = default;

absl::StatusOr<std::unique_ptr<WorkerDaemon>> WorkerDaemon::Start(WorkerOptions options) {
  ASSIGN_OR_RETURN(DataDir dir, OpenDataDir(options.data_dir));
  RemoveAllState(options.data_dir);  // of a former daemon's executors
  BlockStore::Options store;
  store.memory_max = options.block_memory != 0 ? options.block_memory : MemoryBytes() / 4;
  store.spill_dir = options.spill_dir.empty() ? options.data_dir + "/spill"
                                              : options.spill_dir + "/sluice-" + dir.worker_id;
  ASSIGN_OR_RETURN(auto blocks, BlockStore::Open(store));
  auto loop = std::make_unique<EventLoop>(EventLoop::Options{.name = "worker"});
  auto impl = std::make_unique<Impl>(std::move(options), std::move(dir), std::move(loop),
                                     std::move(blocks));
  RETURN_IF_ERROR(impl->Open());
  return std::unique_ptr<WorkerDaemon>(new WorkerDaemon(std::move(impl)));
}

const std::string& WorkerDaemon::address() const { return impl_->address(); }
const std::string& WorkerDaemon::worker_id() const { return impl_->worker_id(); }
void WorkerDaemon::RequestDrain() { impl_->RequestDrain(); }
WorkerDaemon::Ending WorkerDaemon::Wait() { return impl_->Wait(); }

}  // namespace sluice
