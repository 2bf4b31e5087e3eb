// A job with its driver, worker and executors in one process: the same cores over an in-process
// transport. The default of every job program, and what an embedded StreamingContext starts.
#pragma once

#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/clock.h"
#include "common/config.h"
#include "common/event_loop.h"
#include "common/net/local_transport.h"
#include "driver/api/streaming_context.h"
#include "driver/job/job_driver.h"
#include "sluice/driver_role.h"
#include "sluice/job_store.h"
#include "worker/daemon/local_block_host.h"
#include "worker/executor/executor.h"
#include "worker/receiver/receiver_node.h"

namespace sluice {

using BuildWithConstants = std::function<ExitStatus(const ConstantValues&, BuiltProgram*)>;

struct LocalJobOptions {
  std::string name;
  uint32_t slots = 1;
  DriverStoreOptions store;
  bool overwrite = false;  // as JobDriverParts has it
  Config config;
  std::function<absl::Status(const std::string&)> print;  // of Print; empty: standard output
  Clock* clock = &RealClock();                    // of the job driver: ticks follow it
  // Called by Start alone, when the job goes by constants of its log. Null: it is refused then.
  BuildWithConstants build_again;
};

// Thread-safe.
class LocalJob {
 public:
  // `context` is built and checked; one of its handles outlives the job.
  static absl::StatusOr<std::unique_ptr<LocalJob>> Start(const StreamingContext& context,
                                                         LocalJobOptions options);
  ~LocalJob();

  // How the job ended; nothing when the time was over first. Negative: without limit.
  std::optional<JobEnding> Await(int64_t milliseconds) { return driver_->Await(milliseconds); }
  // As of JobDriver.
  bool AwaitSettled() { return driver_->AwaitSettled(); }
  // Wishes that the letters in the job's store be run again, each once. What of them is not is in
  // the answer. Returns as AwaitSettled does.
  absl::StatusOr<proto::ReplayAnswer> ReplayLetters();
  proto::JobStatus Status() { return driver_->Status(); }
  void RequestStop(const StopRequested& stop) { driver_->RequestStop(stop); }

 private:
  struct TaskExecutor {
    std::unique_ptr<Executor> executor;
    std::unique_ptr<Transport> transport;
  };
  struct ReceiverExecutor {
    std::unique_ptr<ReceiverNode> node;
    std::unique_ptr<Transport> transport;
  };

  LocalJob(const StreamingContext& context, LocalJobOptions options);
  absl::Status Begin(const StreamingContext& context);
  absl::Status OpenDriver(JobDriverParts parts, const StreamingContext*& context);
  void StartExecutor(const proto::StartExecutor& request);
  void StartTasks(const proto::StartExecutor& request);
  void StartReceivers(const proto::StartExecutor& request);
  void EndExecutor(const ExecutorKey& key);
  std::shared_ptr<const LineageGraph> Graph() const;

  LocalJobOptions options_;
  BuiltProgram built_again_;  // empty: the graph is that of the given context
  const LineageGraph* graph_;
  JobStore store_;
  std::unique_ptr<OutputStager> outputs_;
  LocalHub hub_;
  EventLoop driver_loop_;
  EventLoop worker_loop_;
  EventLoop executor_loop_;
  std::unique_ptr<JobDriver> driver_;
  std::unique_ptr<Transport> driver_transport_;
  struct SpillFolder {  // empty when the host has gone
    ~SpillFolder() { if (!path.empty()) rmdir(path.c_str()); }
    std::string path;
  };
  SpillFolder spill_folder_;
  std::unique_ptr<LocalBlockHost> host_;
  std::mutex executors_mutex_;  // of the next three
  bool closing_ = false;
  std::map<uint32_t, TaskExecutor> tasks_;
  std::map<uint32_t, ReceiverExecutor> receivers_;
};

}  // namespace sluice
