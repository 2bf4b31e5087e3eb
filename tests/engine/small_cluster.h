// A cluster in one process: a job driver, and workers with one task executor each, over the
// in-process transport. Ticks come from a manual clock; for executors no time passes, so that they
// repeat nothing. Every message is counted when it is sent.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "checkpoint/memory_log_store.h"
#include "checkpoint/memory_object_store.h"
#include "common/clock.h"
#include "common/event_loop.h"
#include "common/net/local_transport.h"
#include "driver/api/api.h"
#include "driver/job/job_driver.h"
#include "worker/daemon/local_block_host.h"
#include "worker/executor/executor.h"

namespace sluice {

struct SmallClusterOptions {
  int workers = 2;
  uint32_t slots = 2;       // of each worker
  uint32_t partitions = 8;
  StateBackend state = {};  // of each executor
};

// Not thread-safe.
class SmallCluster {
 public:
  // By kind: "batch_grant", "share_bundle", …; what is sent at intervals of time is left out.
  using Counts = std::map<std::string, int>;

  // `context` is built, and outlives the cluster.
  SmallCluster(const StreamingContext& context, SmallClusterOptions options);
  ~SmallCluster();

  // Runs one batch to its end. False: the job has ended.
  bool RunBatch();
  // Ends one executor as if its process had crashed, and returns when the job is up again.
  bool LoseAnExecutor();
  // Messages since the last call.
  Counts TakeCounts();
  // How many batches each batch grant of the newest generation held since the last call, in order,
  // by receiver. Grants without any, which say how far the log is, are left out.
  std::map<std::string, std::vector<int>> TakeGrants();

 private:
  struct Worker {
    std::string id;
    std::unique_ptr<LocalBlockHost> host;
  };
  struct Running {
    std::string worker;
    std::unique_ptr<Executor> executor;
    std::unique_ptr<Transport> transport;
  };

  void Count(const std::string& to, const proto::Envelope& message);
  void StartWorker(int number);
  void StartExecutor(const std::string& worker, const proto::StartExecutor& request);
  void EndExecutor(const ExecutorKey& key);

  const StreamingContext& context_;
  const SmallClusterOptions options_;
  ManualClock clock_{1'000'000, 1'000'000'000'000};
  ManualClock still_;
  std::mutex counts_mutex_;
  Counts counts_;
  uint64_t generation_ = 0;
  std::map<std::string, std::vector<int>> grants_;
  MemoryLogStore log_;
  MemoryObjectStore objects_;
  std::unique_ptr<StatePartCodec> codec_ = NewPlainStatePartCodec();
  PosixOutputStager outputs_;
  uint64_t random_ = 1;
  LocalHub hub_;
  EventLoop driver_loop_;
  EventLoop worker_loop_;
  EventLoop executor_loop_;
  std::unique_ptr<JobDriver> driver_;
  std::unique_ptr<Transport> driver_transport_;
  std::vector<Worker> workers_;
  std::mutex executors_mutex_;
  bool closing_ = false;
  std::map<uint32_t, Running> executors_;
};

}  // namespace sluice
