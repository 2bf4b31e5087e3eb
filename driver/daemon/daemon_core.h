// The decisions of the driver daemon: which workers there are, which job may use which of their
// slots, which job drivers run. Decides; never acts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "driver/daemon/daemon_events.h"
#include "driver/daemon/job_life.h"
#include "driver/daemon/worker_registry.h"

namespace sluice::daemon {

// Ended jobs beyond these are forgotten, the first to end first: the table is saved whole, and etcd
// takes 1 MiB.
inline constexpr ptrdiff_t kEndedJobsMax = 1000;
inline constexpr size_t kFormersMax = 1000;
inline constexpr size_t kEndedBytesMax = size_t{512} << 10;

// Of a daemon that others may stand by for.
struct Leadership {
  uint64_t epoch = 0;   // 0: nobody stands by
  std::string address;  // where others reach this daemon
};

// The same events in the same order give the same commands. One thread at a time.
//
// Rules it keeps: what it answers to a client is on disk first (Persist precedes Answer); a new job
// is told of workers, without which it begins nothing, when it is on disk that its log exists; a
// daemon that returns tells running jobs nothing about workers before these had a lease to
// register; no message of a running job goes through it.
class DaemonCore {
 public:
  // `table`: what the former daemon left, which may have run on another node. `host`: of this one,
  // as job drivers that it starts have it in their addresses; empty: all are taken for near.
  DaemonCore(const JobTimes& times, MonotonicTime now, const proto::JobTable& table,
             std::string host = "", Leadership leadership = {});

  std::vector<Command> Step(MonotonicTime now, const Event& event);

  // Read side, between steps.
  std::vector<proto::JobInfo> Jobs() const;
  std::optional<proto::JobInfo> Job(const std::string& name) const;
  std::optional<proto::JobSpec> SpecOf(const std::string& name) const;
  std::vector<proto::WorkerInfo> Workers() const { return workers_.Infos(); }
  // Address of the push service of the stream's receiver: empty when it is not up at the moment.
  proto::FindStreamReply FindStream(const std::string& job, const std::string& stream) const;
  // Checkpoints that jobs which have ended could be resumed from, and which of them are gone.
  std::vector<std::string> CheckpointsLeft() const;
  void SetCheckpointsGone(std::set<std::string> gone) { checkpoints_gone_ = std::move(gone); }
  // Digests that running jobs need, and ended ones that could be resumed.
  std::set<std::string> BinariesInUse() const;

 private:
  void On(const Tick&);
  void On(const Received& event);
  void On(const PeerDown& event);
  void On(const SubmitJob& event);
  void On(const StopJob& event);
  void On(const AcceptJobLoss& event);
  void On(const ReplayWish& event);
  void TellJob(uint64_t request, const std::string& job, const proto::Envelope& message);
  void On(const DrainWorkerWish& event);
  void On(const DrainAll& event);
  void On(const DriverStarted& event);
  void On(const DriverNotStarted& event);
  void On(const DriverExited& event);
  void On(const FormerEnded& event);
  void On(const Saved&);
  void On(const NotSaved&);

  void OnWorkerRegister(const std::string& from, const proto::WorkerRegister& worker);
  void OnHeartbeat(const std::string& from, const proto::WorkerHeartbeat& heartbeat);
  bool NobodyTakesUp(uint64_t instance) const;
  void EndExecutorsOfEndedJobs(const std::string& worker, const proto::WorkerHeartbeat& heartbeat);
  void OnDriverRegister(const std::string& from, const proto::JobDriverRegister& driver);
  void OnStatus(const std::string& from, const proto::JobStatus& status);
  void DrainSlow(const std::string& job, const proto::SlowWorker& slow);

  proto::JobInfo InfoOf(const JobLife& job) const;
  std::unique_ptr<JobLife> Take(const std::string& name);
  JobLife* Find(const std::string& name);
  const JobLife* Find(const std::string& name) const;
  void Reply(uint64_t request, int exit_code, const std::string& message);
  JobLife* FindRunning(uint64_t request, const std::string& name);
  void Allocate();
  void TellMembers(const JobLife& job);
  void TellAllMembers();
  void TellWhoLeads();
  bool MayTellMembers(const JobLife& job) const;
  proto::JobTable Table() const;
  void ForgetEnded();

  const JobTimes times_;
  const std::string host_;
  const Leadership leadership_;
  const MonotonicTime begun_;
  const MonotonicTime settled_at_;
  MonotonicTime now_ = 0;
  MonotonicTime last_tick_ = 0;
  MonotonicTime repeat_at_ = 0;
  WorkerRegistry workers_;
  // Those that have ended, in the order in which they did, then the others in order of submission.
  std::vector<std::unique_ptr<JobLife>> jobs_;
  // Links that the former leader knew and that have not spoken yet; of a job driver, its job.
  std::map<std::string, std::string> untold_;
  std::set<std::string> checkpoints_gone_;
  std::set<uint64_t> slow_told_;  // incarnations of workers that were told to drain
  std::vector<Command> out_;
  // Jobs that had ended and whose rows are another submission's now; the newest are known.
  struct Former {
    uint64_t instance = 0;
    std::string name, checkpoint;
  };
  std::deque<Former> formers_;
  // Of the last step, when it took a submission: its job, and the ended one in whose place it is.
  std::string submitted_;
  std::unique_ptr<JobLife> replaced_;
  bool dirty_ = false;        // the table changed in this step
  bool reallocate_ = false;   // workers or jobs changed in this step
};

}  // namespace sluice::daemon
