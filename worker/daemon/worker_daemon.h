// The worker daemon: one per node. Holds blocks, replicates them, starts executors, and never runs
// user code.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/net/security.h"
#include "worker/daemon/binary_cache.h"

namespace sluice {

struct WorkerOptions {
  std::string driver;             // HOST:PORT of the driver daemon; several joined by commas
  std::string listen_host = "127.0.0.1";
  int listen_port = 0;
  std::string advertise;          // host under which others reach this node; empty: listen_host
  uint32_t slots = 1;
  std::string data_dir;
  Security security;
  uint64_t block_memory = 0;      // 0: a quarter of the machine's memory
  std::string spill_dir;          // empty: data_dir/spill
  int64_t drain_deadline_ms = 30'000;
  int64_t ended_jobs_kept_ms = 604'800'000;  // blocks of jobs that nobody takes up again
  std::map<std::string, std::string> executor_env;
  BinaryCache::Fetch fetch_binary;  // empty: from the driver
};

class WorkerDaemon {
 public:
  // Listens and registers in the background. FailedPrecondition: another daemon uses the data
  // directory, or the bind is refused. AlreadyExists: the port is in use.
  static absl::StatusOr<std::unique_ptr<WorkerDaemon>> Start(WorkerOptions options);
  ~WorkerDaemon();  // ends executors at once
  WorkerDaemon(const WorkerDaemon&) = delete;
  WorkerDaemon& operator=(const WorkerDaemon&) = delete;

  const std::string& address() const;
  const std::string& worker_id() const;

  // Stops intake, hands sole copies to a peer, ends executors. Any thread, not a signal handler.
  void RequestDrain();
  struct Ending {
    int exit_code = 0;
    std::string line;
  };
  // Returns when the daemon is to end: it drained (0), its deadline passed (5), or its driver
  // refused it (3) or did not let it in (6).
  Ending Wait();

 private:
  class Impl;
  explicit WorkerDaemon(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
