// The executors of a worker daemon as processes: started with their arena and task board, known to
// the socket that passes descriptors by their pid, and reaped.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "common/net/security.h"
#include "common/spawn.h"
#include "worker/daemon/binary_cache.h"
#include "worker/daemon/block_store.h"
#include "worker/daemon/worker_events.h"
#include "worker/shm/arena.h"
#include "worker/shm/fd_server.h"
#include "worker/shm/task_board.h"

namespace sluice {

struct ExecutorProcessOptions {
  std::string worker_id;
  std::string worker_address;  // of the daemon's link server
  std::string host;            // executors listen on it
  std::string socket;          // of the FdServer
  std::string data_dir;        // logs/JOB/executor-EPOCH-ID.log, work/JOB
  Security security;           // the job's token is derived from the cluster's
  ArenaShape arena;
  std::map<std::string, std::string> env;  // of every executor
};

// Thread-safe.
class ExecutorProcesses : public FdSource {
 public:
  using Post = std::function<void(worker::Event)>;
  // The store outlives this. `post` may be called on any thread.
  ExecutorProcesses(ExecutorProcessOptions options, BlockStore* store, Post post);
  ~ExecutorProcesses() override;  // ends all that still run

  // Answers with ProcessStarted, and ProcessReaped when it has ended. May take a while, for what
  // of the job's files is not in `cache` is fetched into it. One at a time.
  void Start(const worker::StartProcess& command, BinaryCache* cache);
  void End(const ExecutorKey& executor, bool at_once);
  // Whether this node can run the binary (common/job_binary.h). May take seconds; one at a time.
  absl::Status CheckBinary(const std::string& path);
  // Its arena and board go, and its process, which has ended, is forgotten.
  struct Ended {
    std::string work;  // the folder that it ran in
    int64_t pid = 0;
  };
  std::optional<Ended> Forget(const ExecutorKey& executor);
  std::optional<BatchView> ArenaView(const ExecutorKey& executor, uint64_t offset,
                                     uint32_t records) const;

  std::optional<Executor> Identify(int64_t pid) override;
  Found Pin(const BlockKey& key, MappableBlock* block) override { return store_->Pin(key, block); }
  void Unpin(const BlockKey& key) override { store_->Unpin(key); }

 private:
  struct Process {
    ProcessId id;
    std::string work;
    std::string output;
    bool running = false;
    std::optional<ArenaHost> arena;
    std::optional<TaskBoardHost> board;
  };
  absl::StatusOr<ProcessId> Spawn(const worker::StartProcess& command, const ExecutorKey& key,
                                  BinaryCache* cache);
  void OnExit(const ExecutorKey& key, const ExitCause& cause);
  std::set<std::string> Outputs() const;

  const ExecutorProcessOptions options_;
  BlockStore* const store_;
  const Post post_;
  std::mutex start_mutex_;    // held while a process is started; taken before mutex_
  mutable std::mutex mutex_;  // never held while the spawner is asked to start
  std::map<ExecutorKey, Process> processes_;
  std::map<int64_t, ExecutorKey> by_pid_;
  std::unique_ptr<Spawner> spawner_;  // last: its thread goes first
};

}  // namespace sluice
