#include "sluice/executor_role.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include "checkpoint/open_store.h"
#include "common/clock.h"
#include "common/exit_code.h"
#include "common/exit_status.h"
#include "common/net/grpc_transport.h"
#include "common/spawn.h"
#include "common/status.h"
#include "glog/logging.h"
#include "sluice/executor_graph.h"
#include "sluice/job_settings.h"
#include "sluice/job_store.h"
#include "sluice/late_handler.h"
#include "sluice/state_backend.h"
#include "worker/executor/executor.h"
#include "worker/executor/s3_output_stager.h"
#include "worker/executor/shm_adapters.h"
#include "worker/receiver/receiver_executor.h"

namespace sluice {
namespace {

// The store's place is known when the job driver has answered, which is before any use of it. One
// that is out of reach then is opened when it is used: whoever wants something of it tries again.
class LateObjects : public ObjectStore {
 public:
  // Not ok: it will not do as it is.
  absl::Status Open(const std::string& url) {
    std::lock_guard<std::mutex> lock(mutex_);
    url_ = url;
    const absl::Status opened = Opened().status();
    if (!absl::IsUnavailable(opened)) return opened;
    LOG(WARNING) << "the checkpoint store is opened when it is used: " << opened;
    return absl::OkStatus();
  }
  absl::Status PutIfAbsent(const std::string& name, std::string_view bytes) override {
    ASSIGN_OR_RETURN(ObjectStore* const store, Store());
    return store->PutIfAbsent(name, bytes);
  }
  absl::Status PutFileIfAbsent(const std::string& name, const std::string& path) override {
    ASSIGN_OR_RETURN(ObjectStore* const store, Store());
    return store->PutFileIfAbsent(name, path);
  }
  absl::StatusOr<std::string> Get(const std::string& name) override {
    ASSIGN_OR_RETURN(ObjectStore* const store, Store());
    return store->Get(name);
  }
  absl::StatusOr<std::vector<ObjectInfo>> List(const std::string& prefix) override {
    ASSIGN_OR_RETURN(ObjectStore* const store, Store());
    return store->List(prefix);
  }
  absl::Status Delete(const std::string& name) override {
    ASSIGN_OR_RETURN(ObjectStore* const store, Store());
    return store->Delete(name);
  }
  std::string Where() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return store_ == nullptr ? url_ : store_->Where();
  }

 private:
  absl::StatusOr<ObjectStore*> Store() {
    std::lock_guard<std::mutex> lock(mutex_);
    return Opened();
  }
  absl::StatusOr<ObjectStore*> Opened() {
    if (store_ == nullptr) {
      ASSIGN_OR_RETURN(store_, OpenObjectStore(url_));
    }
    return store_.get();
  }

  mutable std::mutex mutex_;
  std::string url_;
  std::unique_ptr<ObjectStore> store_;
};

// Ends this process when one task runs for too long: nothing else stops a function that never
// returns. The daemon finds on the board which task it was.
class WatchedBoard : public RunningTaskBoard {
 public:
  WatchedBoard(TaskBoard board, uint32_t slots)
      : board_(std::move(board)), begun_(slots), watcher_([this] { Watch(); }) {}
  ~WatchedBoard() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ending_ = true;
      changed_.notify_all();
    }
    watcher_.join();
  }
  void SetTimeout(int64_t timeout_us) { timeout_us_ = timeout_us; }
  void Begin(uint32_t slot, int64_t batch_ms, uint32_t stage, uint32_t task) override {
    board_.Begin(slot, batch_ms, stage, task);
    if (slot < begun_.size()) begun_[slot] = RealClock().MonotonicUs();
  }
  void End(uint32_t slot) override {
    if (slot < begun_.size()) begun_[slot] = 0;
    board_.End(slot);
  }
  void EndAll() { EndAllBut(static_cast<uint32_t>(begun_.size())); }
  // Where records go one by one, each has the whole time.
  void At(uint32_t slot, uint64_t record) override {
    board_.At(slot, record);
    if (slot < begun_.size()) begun_[slot] = RealClock().MonotonicUs();
  }

 private:
  void EndAllBut(uint32_t slot) {
    for (uint32_t other = 0; other < begun_.size(); ++other) {
      if (other != slot) board_.End(other);
    }
  }
  void Watch() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::milliseconds(50), [this] { return ending_; })) {
      const MonotonicTime now = RealClock().MonotonicUs();
      for (uint32_t slot = 0; slot < begun_.size(); ++slot) {
        const MonotonicTime at = begun_[slot];
        if (at == 0 || timeout_us_ == 0 || now - at < timeout_us_) continue;
        EndAllBut(slot);  // their tasks have nothing to do with it
        LOG(ERROR) << "a task has run for longer than task_timeout";
        raise(SIGABRT);
      }
    }
  }

  ShmTaskBoard board_;
  std::vector<std::atomic<MonotonicTime>> begun_;  // by slot; 0: idle
  std::atomic<int64_t> timeout_us_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread watcher_;
};

// Where memory is short the kernel is to end executors, which are started anew, rather than the
// daemon beside them. To raise one's own score takes no privilege.
void BeEndedBeforeDaemons() {
  constexpr char kScore[] = "/proc/self/oom_score_adj";
  int score = 0;
  std::ifstream(kScore) >> score;
  std::ofstream(kScore) << std::min(score + 500, 1000);
}

void AwaitTermination() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  int number = 0;
  sigwait(&signals, &number);
}

ExitStatus TasksRole(const ExecutorRoleFlags& role, const std::vector<std::string>& words,
                     const JobOptions& options, BuildFunction build, const Security& security) {
  absl::StatusOr<std::unique_ptr<FdClient>> descriptors = FdClient::Connect(role.socket);
  if (!descriptors.ok()) return ToExit(descriptors.status());
  absl::StatusOr<TaskBoard> attached = (*descriptors)->AttachBoard();
  if (!attached.ok()) return ToExit(attached.status());
  WatchedBoard board(*std::move(attached), kThreadsPerSlot * role.slots);
  LateHandler handler;
  GrpcTransportOptions transport_options;
  transport_options.host = role.host;
  transport_options.security = security;
  absl::StatusOr<std::unique_ptr<GrpcTransport>> transport =
      GrpcTransport::Start(std::move(transport_options), &handler);
  if (!transport.ok()) return ToExit(transport.status());
  LateObjects objects;
  const std::unique_ptr<StatePartCodec> codec = DiskStateParts();
  AnyOutputStager outputs;
  ExecutorOptions executor_options;
  executor_options.job_instance = role.instance;
  executor_options.epoch = role.epoch;
  executor_options.executor = role.executor;
  executor_options.slots = role.slots;
  executor_options.job_driver = role.job_driver;
  executor_options.worker = role.worker;
  executor_options.worker_id = role.worker_id;
  executor_options.binary_digest = role.digest;
  executor_options.pid = getpid();
  executor_options.pin_slots = false;
  executor_options.build = [&](const proto::ExecutorInit& init) -> absl::StatusOr<BuiltGraph> {
    absl::StatusOr<ExecutorProgram> program = BuildForExecutor(init, words, options, build);
    if (!program.ok()) return program.status();
    board.SetTimeout(program->config.DurationMs("task_timeout") * 1000);
    const auto url = init.conf().find(kStoreUrlKey);
    if (url == init.conf().end()) return absl::InternalError("no place for checkpoints is named");
    const absl::Status opened = objects.Open(url->second);
    if (!opened.ok()) return opened;
    return BuiltGraph{program->graph, program->config.DurationMs("batch_interval"),
                      StateBackendOf(program->config, ".")};
  };
  executor_options.local_blocks = MappedBlocksOf(descriptors->get());
  executor_options.objects = &objects;
  executor_options.codec = codec.get();
  executor_options.outputs = &outputs;
  executor_options.board = &board;
  executor_options.state_lost = [&](const std::string& why) {
    board.EndAll();  // no task is to blame
    LOG(ERROR) << why << "; this executor ends, and another begins from the last checkpoint";
    _exit(kExitFailed);
  };
  Executor executor(std::move(executor_options));
  handler.Connect(&executor);
  executor.Start(transport->get());
  AwaitTermination();
  executor.Stop();
  (*transport)->Shutdown(200'000);
  return {};
}

ExitStatus ReceiversRole(const ExecutorRoleFlags& role, const std::vector<std::string>& words,
                         const JobOptions& options, BuildFunction build,
                         const Security& security) {
  ReceiverExecutorOptions receiver_options;
  receiver_options.flags = role;
  receiver_options.security = security;
  receiver_options.report = [](const std::string& line) { std::cerr << line << std::endl; };
  receiver_options.build = [&](const proto::ExecutorInit& init) -> absl::StatusOr<ReceiverGraph> {
    absl::StatusOr<ExecutorProgram> program = BuildForExecutor(init, words, options, build);
    if (!program.ok()) return program.status();
    ReceiverGraph graph;
    graph.graph = program->graph;
    graph.block_interval_us = program->config.DurationMs("block_interval") * 1000;
    graph.max_rate = static_cast<double>(program->config.Number("max_rate"));
    if (program->config.On("backpressure")) {
      graph.initial_rate = static_cast<double>(program->config.Number("initial_rate"));
    }
    return graph;
  };
  absl::StatusOr<std::unique_ptr<ReceiverExecutor>> executor =
      ReceiverExecutor::Start(std::move(receiver_options));
  if (!executor.ok()) return ToExit(executor.status());
  AwaitTermination();
  (*executor)->Stop();
  return {};
}

}  // namespace

ExitStatus RunExecutorRole(const ExecutorRoleFlags& role, const std::vector<std::string>& words,
                           JobOptions options, BuildFunction build) {
  EndWithParent();
  BeEndedBeforeDaemons();
  const Security security = TakeJobSecurity({role.host});
  sigset_t signals;  // blocked before any thread starts, so that AwaitTermination gets it
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return role.kind == ExecutorKind::kTasks ? TasksRole(role, words, options, build, security)
                                           : ReceiversRole(role, words, options, build, security);
}

}  // namespace sluice
