// Decides what a worker daemon does; never acts. The same events in the same order give the same
// commands. Not thread-safe: one shell, one thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "worker/daemon/block_table.h"
#include "worker/daemon/driver_link.h"
#include "worker/daemon/executor_table.h"
#include "worker/daemon/job_table.h"
#include "worker/daemon/worker_events.h"

namespace sluice {

class WorkerCore {
 public:
  explicit WorkerCore(WorkerConfig config);
  WorkerCore(const WorkerCore&) = delete;
  WorkerCore& operator=(const WorkerCore&) = delete;

  worker::Commands Step(MonotonicTime now, worker::Event event);

  const WorkerConfig& config() const { return config_; }
  const BlockTable& blocks() const { return blocks_; }
  const ExecutorTable& executors() const { return executors_; }
  const WorkerJobs& jobs() const { return jobs_; }
  bool registered() const { return driver_.registered(); }

 private:
  // A tick that the job driver asked receivers to seal at.
  struct SealWait {
    std::set<ExecutorKey> executors;  // have not sealed yet
    std::set<BlockKey> blocks;        // sealed by them or by one that has ended, not announced yet
  };

  void On(MonotonicTime now, worker::Tick& event, worker::Commands& out);
  void On(MonotonicTime now, worker::Received& event, worker::Commands& out);
  void On(MonotonicTime now, worker::PeerDown& event, worker::Commands& out);
  void On(MonotonicTime now, worker::PeerDenied& event, worker::Commands& out);
  void On(MonotonicTime now, worker::LinkReset& event, worker::Commands& out);
  void On(MonotonicTime now, worker::SliceStored& event, worker::Commands& out);
  void On(MonotonicTime now, worker::CopyStored& event, worker::Commands& out);
  void On(MonotonicTime now, worker::CopyUnreadable& event, worker::Commands& out);
  void On(MonotonicTime now, worker::BlockLogged& event, worker::Commands& out);
  void On(MonotonicTime now, worker::LoggedRead& event, worker::Commands& out);
  void On(MonotonicTime now, worker::BinaryReady& event, worker::Commands& out);
  void On(MonotonicTime now, worker::ProcessStarted& event, worker::Commands& out);
  void On(MonotonicTime now, worker::ProcessReaped& event, worker::Commands& out);
  void On(MonotonicTime now, worker::DrainRequested& event, worker::Commands& out);

  // From the job driver.
  void OnFromJobDriver(MonotonicTime now, worker::Received& event, worker::Commands& out);
  void OnSession(MonotonicTime now, const proto::JobSession& message, worker::Commands& out);
  void OnMembers(MonotonicTime now, const std::string& from, const proto::ClusterMembers& members,
                 worker::Commands& out);
  void OnLeaseBeat(MonotonicTime now, const std::string& from, const proto::LeaseBeat& beat,
                   worker::Commands& out);
  void OnVerdict(MonotonicTime now, const proto::BlockVerdict& verdict, worker::Commands& out);
  void OnRelease(MonotonicTime now, const std::string& from, const proto::ReleaseBlocks& release,
                 worker::Commands& out);
  void OnReceiverRates(const proto::ReceiverRates& rates, worker::Commands& out);
  void OnSealTick(const proto::SealTick& tick, worker::Commands& out);
  void OnProducerAnswer(const proto::ProducerAnswer& answer, worker::Commands& out);
  void OnJobEnded(MonotonicTime now, const proto::JobEnded& message, worker::Commands& out);
  void OnFinished(MonotonicTime now, uint64_t job_instance, worker::Commands& out);
  // From an executor.
  void OnFromExecutor(MonotonicTime now, worker::Received& event, worker::Commands& out);
  void OnSealSlices(const std::string& from, proto::SealSlices message, worker::Commands& out);
  void OnSealDone(const std::string& from, const proto::SealDone& done, worker::Commands& out);

  WorkerJob* FromDriver(const std::string& from, uint64_t job_instance);
  // A job driver is known for that instance, at another address.
  bool LedByAnother(const std::string& from, uint64_t job_instance) const;
  bool IsMember(const std::string& address, uint64_t job_instance) const;
  void SendInventory(const WorkerJob& job, const std::string& to, worker::Commands& out) const;
  void SendBeat(MonotonicTime now, const WorkerJob& job, const std::string& to,
                worker::Commands& out) const;
  void SettleSeals(worker::Commands& out);
  void ForgetDeadReceivers(worker::Commands& out);
  static void NoteSilent(WorkerJob& job, worker::Commands& out);
  void TickJobs(MonotonicTime now, worker::Commands& out);
  void TickDrain(MonotonicTime now, worker::Commands& out);
  void RenewIfSlept(MonotonicTime now);

  const WorkerConfig config_;
  WorkerJobs jobs_;
  DriverLink driver_;
  BlockTable blocks_;
  ExecutorTable executors_;
  std::map<std::pair<uint64_t, int64_t>, SealWait> seals_;  // (job instance, batch)
  std::set<ExecutorKey> dead_receivers_;                    // whose arenas are still needed
  uint64_t blocks_bytes_ = 0;
  MonotonicTime last_tick_ = 0;
  MonotonicTime drain_deadline_ = 0;  // 0: not draining
  bool drain_executors_ended_ = false;
  bool exited_ = false;
};

}  // namespace sluice
