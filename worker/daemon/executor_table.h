// The executors of this node: asked for, started, attached, silent, ended, reaped.
//
// An executor belongs to the epoch in which it was started. Task executors end with their epoch;
// receiver executors live on until the job ends or somebody stops them.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "worker/daemon/job_table.h"
#include "worker/daemon/worker_events.h"

namespace sluice {

class ExecutorTable {
 public:
  struct Executor {
    enum class State { kFetching, kStarting, kRunning, kEnding };
    proto::StartExecutor request;
    State state = State::kFetching;
    int64_t pid = 0;
    std::string address;        // of its link server, once attached
    std::string push_address;
    std::vector<proto::ReceiverTaken> taken;  // by its receivers, as its last beat said
    std::string end_cause;      // why this daemon ends it
    MonotonicTime heard = 0;
    MonotonicTime kill_at = 0;  // kEnding: SIGKILL then
    MonotonicTime killed = 0;   // by SIGKILL for the first time; 0: not yet
    bool hung = false;          // it is ended because it never attached
    bool given_up = false;      // the job driver was told that it is gone, and it is still there
    bool unlisted = false;      // of a former epoch, and in no inventory of the present one

    bool receives() const { return request.role() == "receivers"; }
    bool attached() const { return !address.empty(); }
  };

  ExecutorTable(const WorkerConfig& config, const WorkerJobs& jobs)
      : config_(config), jobs_(jobs) {}

  // `refusal` not empty: this worker takes no executors, and that is why.
  void OnStart(MonotonicTime now, const proto::StartExecutor& request, const std::string& refusal,
               worker::Commands& out);
  void OnBinary(MonotonicTime now, const worker::BinaryReady& event, worker::Commands& out);
  // What jobs still need, as the driver daemon knows it. What an executor here is of, binary and
  // files, stays as well.
  void OnBinariesNeeded(std::set<std::string> digests, worker::Commands& out);
  void OnProcessStarted(MonotonicTime now, const worker::ProcessStarted& event,
                        worker::Commands& out);
  // A receiver executor attaches when it is ready to receive, a task executor at once. One that
  // nobody asked for is not taken in.
  void OnAttach(MonotonicTime now, const std::string& from, const proto::ExecutorAttach& message);
  void OnHeardFrom(MonotonicTime now, const std::string& address);
  // It exists no more, and the job driver is told why. Of one that runs tasks and that SIGKILL does
  // not end, because the kernel waits for a disk in its name, it is told so after a while: none of
  // its code runs any more.
  void OnReaped(MonotonicTime now, const worker::ProcessReaped& event, worker::Commands& out);

  void Stop(MonotonicTime now, const ExecutorKey& key, const std::string& cause, bool at_once,
            worker::Commands& out);
  // Task executors of epochs below `epoch`, and receivers that were not ready by then: the job
  // driver that they would have become ready for is gone. The new one is told of no end of these,
  // nor of what ends or has ended: it may have adopted another executor of the same id.
  void StopOldTasks(MonotonicTime now, uint64_t job_instance, uint64_t epoch,
                    worker::Commands& out);
  void StopJob(MonotonicTime now, uint64_t job_instance, const std::string& cause,
               worker::Commands& out);
  void StopAll(MonotonicTime now, std::optional<uint64_t> job_instance, const std::string& cause,
               bool at_once, worker::Commands& out);
  void ForgetExits(uint64_t job_instance);

  void Tick(MonotonicTime now, worker::Commands& out);
  void RenewAll(MonotonicTime now);

  const Executor* Find(const ExecutorKey& key) const;
  const std::map<ExecutorKey, Executor>& all() const { return executors_; }
  // By the name under which a job driver knows it: a receiver of an earlier epoch too.
  std::optional<ExecutorKey> FindAdopted(const ExecutorKey& key) const;
  std::optional<ExecutorKey> At(const std::string& address) const;
  // Attached receiver executors of a job.
  std::vector<ExecutorKey> Receivers(uint64_t job_instance) const;
  void AppendStatus(proto::WorkerHeartbeat* beat) const;
  // Of each receiver that is attached and not reaped, also where it has taken nothing.
  void AppendTaken(uint64_t job_instance, proto::LeaseBeat* beat) const;

 private:
  struct Exited {
    proto::ExecutorExited message;
    MonotonicTime next = 0;
    int left = 0;
  };
  void TellExited(MonotonicTime now, proto::ExecutorExited message, worker::Commands& out);
  void SendExited(const Exited& exited, worker::Commands& out) const;
  void Kill(MonotonicTime now, const ExecutorKey& key, Executor& executor, worker::Commands& out);
  // `refused`: it never will.
  void CouldNotStart(MonotonicTime now, const ExecutorKey& key, const std::string& cause,
                     bool refused, worker::Commands& out);
  int64_t LeaseUs(uint64_t job_instance) const;

  const WorkerConfig& config_;
  const WorkerJobs& jobs_;
  std::map<ExecutorKey, Executor> executors_;
  std::map<std::string, ExecutorKey> by_address_;
  std::map<ExecutorKey, Exited> exited_;
  std::map<std::string, std::string> binaries_;  // digest -> path, fetched before
  std::map<std::string, std::string> refused_;   // digest -> why it cannot run here
  std::set<std::string> fetching_;
};

}  // namespace sluice
