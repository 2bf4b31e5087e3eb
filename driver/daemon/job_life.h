// The life of one submitted job as the driver daemon sees it: launched, supervised, relaunched,
// ended. Never on the job's own path: it goes on whether or not anybody here watches.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "driver/daemon/daemon_events.h"

namespace sluice::daemon {

struct JobTimes {
  MonotonicTime lease_us = 5'000'000;
  MonotonicTime backoff_first_us = 100'000;
  MonotonicTime backoff_last_us = 10'000'000;
  MonotonicTime force_grace_us = 5'000'000;  // behind a stop's deadline, then the driver is killed
  int64_t slow_drain_ms = 0;  // the deadline of a slow worker's drain; 0: it is only reported
};

// Pure. Invariants: at most one job driver is being started; a process that may be a former job
// driver is ended before another is started; an ended job never starts anything.
class JobLife {
 public:
  enum class Phase {
    kSettling,      // loaded from the table: its job driver may still be running and register
    kEndingFormer,  // waiting for the process of the table to be gone
    kBackoff,
    kStarting,
    kUp,            // record().pid() runs
    kEnded,
  };
  using Commands = std::vector<Command>;

  // `host`: of this daemon, see DaemonCore.
  JobLife(proto::JobRecord record, const JobTimes& times, std::string host)
      : times_(times),
        host_(std::move(host)),
        record_(std::move(record)),
        opened_on_disk_(record_.opened()) {}

  // This job ended with 8 (damaged), and `next` is to go on with its checkpoint: a log that is gone
  // must not be begun afresh by mistake.
  bool NeedsItsLog(const proto::JobSpec& next) const;
  void Launch(Commands* out);                        // of a new submission
  void Settle(MonotonicTime now);                    // of a job found in the table
  void OnTick(MonotonicTime now, Commands* out);
  void OnStarted(const DriverStarted& event);
  void OnNotStarted(MonotonicTime now, const std::string& error, Commands* out);
  void OnExited(MonotonicTime now, const DriverExited& event, Commands* out);
  void OnFormerEnded(MonotonicTime now, Commands* out);
  // A job driver at `from` says that it is this job's. True, here and below: worth a line on disk.
  bool OnRegister(MonotonicTime now, const std::string& from,
                  const proto::JobDriverRegister& driver, Commands* out);
  bool OnStatus(MonotonicTime now, const std::string& from, const proto::JobStatus& status,
                Commands* out);
  // The process at `address` has ended. True: it was this job's driver, on another node.
  bool OnPeerEnded(MonotonicTime now, const std::string& address, Commands* out);
  // Drain or cancel; a cancel overrides a drain. Deadline 0: the job's own.
  void Stop(MonotonicTime now, bool drain, uint64_t deadline_ms, Commands* out);
  // Sends `message` to every job driver that registered.
  void Tell(const proto::Envelope& message, Commands* out) const;

  const proto::JobRecord& record() const { return record_; }
  proto::JobRecord* mutable_record() { return &record_; }
  const std::string& name() const { return record_.spec().name(); }
  Phase phase() const { return phase_; }
  bool ended() const { return record_.ended(); }
  // Whether this instance is not, or no more, the one that runs under the job's name.
  bool IsOver(uint64_t instance) const;
  // In order, or cancelled without a checkpoint: nobody takes it up where it was.
  bool HasFinished(uint64_t instance) const;
  // The table on disk says that the job's log exists: another daemon would not begin it afresh.
  bool opened_on_disk() const { return opened_on_disk_; }
  bool NoteSaved() { return !std::exchange(opened_on_disk_, record_.opened()) && opened_on_disk_; }
  bool adopted() const { return adopted_; }  // its driver was not started by this daemon
  proto::JobInfo Info() const;  // without its slots: it does not know which workers live

 private:
  struct Incarnation {
    uint64_t epoch = 0;
    int64_t pid = 0;
  };
  using Drivers = std::map<std::string, Incarnation>;
  void Start(Commands* out);
  void Adopt(MonotonicTime now, const std::string& address, int64_t pid, Commands* out);
  bool IsNear(const std::string& host) const;
  void Lose(MonotonicTime now, const std::string& why, Commands* out);
  void Relaunch(MonotonicTime now, const std::string& cause, Commands* out);
  // The same when the node lacked what a start needs, which is no fault of the job's: not counted.
  void TryAgain(MonotonicTime now, const std::string& cause, Commands* out);
  bool EndIfHopeless(Commands* out);
  void BackOff(MonotonicTime now, uint32_t in_row, const std::string& cause, Commands* out);
  void EndForced(Commands* out);
  void End(const std::string& state, int exit_code, const std::string& failure, Commands* out);
  void EndBy(int exit_code, const std::string& cause, Commands* out);
  Drivers::const_iterator OtherThan(int64_t pid) const;
  void TellStop(Commands* out) const;
  uint32_t RestartsMax() const;
  bool TakeSettings(const proto::JobDriverRegister& driver);

  const JobTimes times_;
  const std::string host_;
  proto::JobRecord record_;
  bool opened_on_disk_;
  Phase phase_ = Phase::kStarting;
  MonotonicTime due_ = 0;         // end of kSettling or kBackoff
  MonotonicTime force_at_ = 0;    // 0: no stop under way
  bool forced_ = false;           // its driver was told to be killed
  bool idle_ = false;             // and nothing was under way
  uint32_t hindered_ = 0;         // starts in a row for which the node lacked something
  bool reported_ = false;
  bool adopted_ = false;
  bool far_ = false;              // its driver runs on another node: only its reports tell of it
  MonotonicTime heard_ = 0;       // the last of them
  bool lost_ = false;             // a driver there was given up, and may yet live
  Drivers drivers_;               // registered, by address
};

// States in which a job has come to its end.
bool IsEndingState(const std::string& state);

}  // namespace sluice::daemon
