// Which workers and executors the job has, and what they are asked to do: sessions, leases,
// starting and stopping executors, placing receivers. Leases only decide when recovery starts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "driver/job/commands.h"
#include "driver/job/job_options.h"

namespace sluice {

using MonotonicTime = int64_t;  // microseconds

inline constexpr int64_t kSessionPauseUs = 500'000;  // at first

struct WorkerEntry {
  proto::ClusterMembers::Member member;
  bool answered = false;            // its inventory of this epoch is in
  MonotonicTime heard = 0;
  MonotonicTime listed = 0;         // first
  MonotonicTime session_sent = 0;
  int64_t session_pause = kSessionPauseUs;  // until it is sent again, if there is no answer
  uint64_t session = 0;             // number of the last session sent, 0: none
  bool session_taken = false;       // an inventory has answered that one
  MonotonicTime beat_sent = 0;
  bool lost = false;                // silent for a lease, or replaced by a new incarnation
  bool gone = false;                // its process is known to have ended
  MonotonicTime of_use = 0;         // lost: the last time at which it was not; its beats may go on
  bool session_due = false;         // the members have changed since it was told
  std::map<uint32_t, int> zombies;  // given up executors, asked to end with so many beats
};

struct ExecutorEntry {
  enum class Phase { kStarting, kReady };
  uint32_t id = 0;
  Phase phase = Phase::kStarting;
  bool receivers = false;           // role
  bool adopted = false;             // a receiver executor of a former epoch
  bool apart = false;               // has only what is to be tried alone
  MonotonicTime named = 0;          // of receivers: when its daemon last said that it receives
  std::string worker_id;
  uint64_t worker_incarnation = 0;
  std::string address;
  std::string push_address;
  uint32_t slots = 0;
  MonotonicTime started = 0;
  MonotonicTime asked = 0;
  // Source node -> receiver incarnation; of one that runs tasks, that of its deltas.
  std::map<uint32_t, uint64_t> streams;
};

// What happened in a turn that the rest of the core must know.
struct MembershipNews {
  bool executors_changed = false;   // one of tasks became ready, or was lost that had been
  std::vector<std::pair<uint32_t, uint64_t>> dead_receivers;  // (stream, incarnation)
  // (stream, worker) of receivers that began to receive, or ended after they had.
  std::vector<std::pair<uint32_t, std::string>> receivers_up, receivers_down;
  std::vector<std::string> lost_workers;
  std::vector<std::string> forgotten_workers;  // lost before, and for long
  std::vector<std::string> answered_workers;
  struct Refusal {
    uint32_t executor = 0;
    std::string cause;
  };
  std::optional<Refusal> refused;   // an executor that is up cannot work
};

// Not thread-safe.
class Membership {
 public:
  Membership(const JobDriverOptions& options, uint64_t epoch,
             std::vector<uint32_t> receiver_streams, std::function<uint64_t()> random)
      : options_(options), epoch_(epoch), streams_(std::move(receiver_streams)),
        random_(std::move(random)) {}

  void SetJob(uint64_t job_instance, proto::ExecutorInit init);
  uint64_t job_instance() const { return job_instance_; }
  void SetDurableSlot(uint64_t slot) { durable_slot_ = slot; }
  // Incarnations of receivers, by stream, that are not adopted from a former epoch.
  using IsForgotten = std::function<bool(uint32_t stream, uint64_t incarnation)>;
  void SetForgotten(IsForgotten forgotten) { forgotten_ = std::move(forgotten); }
  void OnMembers(MonotonicTime now, const proto::ClusterMembers& members, MembershipNews& news);
  void OnInventory(MonotonicTime now, const proto::WorkerInventory& inventory,
                   MembershipNews& news);
  void OnBeat(MonotonicTime now, const proto::LeaseBeat& beat, MembershipNews& news,
              std::vector<DriverCommand>& out);
  void Heard(MonotonicTime now, const std::string& address);
  void OnHello(MonotonicTime now, const proto::ExecutorHello& hello,
               std::vector<DriverCommand>& out);
  void OnReady(MonotonicTime now, const proto::ExecutorReady& ready, MembershipNews& news);
  // Ids are unique within an epoch; only a receiver executor lives on into the next, and its daemon
  // alone knows it: elsewhere there may have been another of that id.
  bool IsOfOurs(const std::string& from, const proto::ExecutorExited& exited) const;
  void OnExited(MonotonicTime now, const proto::ExecutorExited& exited, MembershipNews& news);
  void OnPeerDown(MonotonicTime now, const PeerDown& down, MembershipNews& news);
  // Sends what is due: sessions, beats, executors to start; judges leases.
  void OnTimer(MonotonicTime now, MembershipNews& news, std::vector<DriverCommand>& out);
  // Executors of tasks that are on their way up are not told what to begin with before it is known
  // which outputs they are to look at; at first that is known: at none (membership_starts.cc).
  void HoldTasks() { probed_outputs_.reset(); }
  void ReleaseTasks(std::vector<uint32_t> probed_outputs, std::vector<DriverCommand>& out);
  bool TasksStarting() const;
  // One that cannot work leaves, as one does that ends before it is ready, and is said now and
  // then.
  void GiveUp(MonotonicTime now, const MembershipNews::Refusal& refused, MembershipNews& news,
              std::vector<DriverCommand>& out);
  // An executor leaves the job.
  void Evict(MonotonicTime now, uint32_t executor, MembershipNews& news,
             std::vector<DriverCommand>& out);
  // The same, of one with which the others do not get on. Where that happens again and again on one
  // worker no executor is started there for a while.
  void PutOut(MonotonicTime now, uint32_t executor, const std::string& why, MembershipNews& news,
              std::vector<DriverCommand>& out);
  // Whether tasks are to be tried alone (membership_apart.cc). While one is wanted, the members are
  // not settled without it; one that is not wanted any more stays until EndApart.
  void WantApart(MonotonicTime now, bool wanted, std::vector<DriverCommand>& out);
  bool apart_wanted() const { return apart_wanted_; }
  void EndApart(MonotonicTime now, std::vector<DriverCommand>& out);
  // Not empty: on every worker so many executors of one role ended by themselves in a row before
  // they were ready, and this says how (membership_starts.cc).
  std::string NothingStarts(uint32_t times) const;
  void StopReceivers(std::vector<DriverCommand>& out);
  // Ends all executors; blocks stay with their daemons.
  void StopExecutors(std::vector<DriverCommand>& out);
  void EndJob(std::vector<DriverCommand>& out);

  // Every worker known at the start has answered or is past its lease.
  bool InventoriesIn() const;
  // The same of the last session that each was sent: nothing that one of them holds is unheard of.
  bool SessionsTaken() const;
  // No task executor is on its way up, or it has been for longer than it is waited for.
  bool Settled(MonotonicTime now) const;
  std::vector<const ExecutorEntry*> ReadyTaskExecutors() const;  // by id
  bool ReceiversUp() const;
  // Number of the last session sent to it; 0: none.
  uint64_t SessionOf(const std::string& worker_id) const;
  // Of its daemon, the newest that is known; or 0.
  uint64_t IncarnationOf(const std::string& worker_id) const;
  // Of a daemon: it is known to have ended, or was silent for so long that it is forgotten.
  bool HasEnded(const std::string& worker_id, uint64_t incarnation) const;
  void AskInventory(const std::string& worker_id);  // with the next timer
  bool WorkerServes(const std::string& worker_id) const;  // alive, inventory in
  bool WorkerStays(const std::string& worker_id) const;   // serves, and is not on its way out
  std::string AddressOf(const std::string& worker_id) const;
  std::string HostOf(const std::string& worker_id) const;
  const ExecutorEntry* ReceiverOf(uint32_t stream) const;  // null: none is up or on its way
  bool ReceiverAlive(uint32_t stream, uint64_t incarnation) const;
  std::vector<std::string> ReceiverWorkers() const;  // ids of workers with live receivers
  // Ids of workers that may hold what a receiver that has ended left behind: all that are not lost,
  // where the job receives anything.
  std::vector<std::string> WorkersWithRests() const;
  const std::map<std::string, WorkerEntry>& workers() const { return workers_; }
  const std::map<uint32_t, ExecutorEntry>& executors() const { return executors_; }
  uint32_t ClusterSlots() const;

 private:
  struct FailedStarts {
    uint32_t in_a_row = 0;
    uint32_t last_executor = 0;
    std::string last_cause;
    MonotonicTime said = 0;
  };
  // Executors that share it wait for each other's restarts: of one worker and role.
  static std::string BackoffKey(const ExecutorEntry& executor);
  void SendInit(const ExecutorEntry& executor, std::vector<DriverCommand>& out);
  void BecomeReady(MonotonicTime now, ExecutorEntry& executor, MembershipNews& news);
  void CompareReceivers(MonotonicTime now, const proto::LeaseBeat& beat, MembershipNews& news,
                        std::vector<DriverCommand>& out);
  void NoteStart(const ExecutorEntry& executor, const proto::ExecutorExited& exited);
  bool IsDeaf(MonotonicTime now, const WorkerEntry& worker) const;
  void LoseWorker(WorkerEntry& worker, bool gone_for_good, MembershipNews& news);
  void ForgetWorkers(MonotonicTime now, MembershipNews& news);
  void LoseExecutor(MonotonicTime now, uint32_t id, MembershipNews& news);
  void SendSession(MonotonicTime now, WorkerEntry& worker, std::vector<DriverCommand>& out);
  void SendBeat(MonotonicTime now, WorkerEntry& worker, std::vector<DriverCommand>& out);
  // Also with the next beats.
  static void AskToStop(WorkerEntry& worker, uint32_t executor);
  void SendStop(const std::string& worker_id, uint32_t executor, std::vector<DriverCommand>& out);
  void Resize(MonotonicTime now, MembershipNews& news, std::vector<DriverCommand>& out);
  void StartMissing(MonotonicTime now, std::vector<DriverCommand>& out);
  void AdoptReceiver(MonotonicTime now, WorkerEntry& worker,
                     const proto::WorkerInventory::LiveReceiver& live, MembershipNews& news);
  void PlaceReceivers(MonotonicTime now, std::vector<DriverCommand>& out);
  void MoveLateReceivers(MonotonicTime now, MembershipNews& news, std::vector<DriverCommand>& out);
  void SendStart(MonotonicTime now, ExecutorEntry& executor, std::vector<DriverCommand>& out);
  std::vector<WorkerEntry*> Serving();
  const ExecutorEntry* Apart() const;
  bool ApartSettled() const;
  void StartApart(MonotonicTime now, std::vector<DriverCommand>& out);

  const JobDriverOptions& options_;
  const uint64_t epoch_;
  const std::vector<uint32_t> streams_;
  IsForgotten forgotten_ = [](uint32_t, uint64_t) { return false; };
  std::function<uint64_t()> random_;
  uint64_t job_instance_ = 0;
  uint64_t durable_slot_ = 0;
  proto::ExecutorInit init_;
  std::optional<std::vector<uint32_t>> probed_outputs_ = std::vector<uint32_t>();
  proto::ClusterMembers members_;
  bool members_known_ = false;
  bool receivers_stopped_ = false;
  std::map<std::string, WorkerEntry> workers_;
  // Of workers that were forgotten, which may come back with what runs there: incarnation, zombies.
  std::map<std::string, std::pair<uint64_t, std::map<uint32_t, int>>> forgotten_zombies_;
  std::map<uint32_t, ExecutorEntry> executors_;
  std::map<std::string, MonotonicTime> backoff_until_;  // by worker and role
  struct Hold {
    MonotonicTime last = 0;  // when an executor of it was put out
    int64_t next_us = 0;     // how long the worker is to wait if it happens again
  };
  std::map<std::string, Hold> holds_;  // in the same way
  std::map<std::string, MonotonicTime> backoff_;
  std::map<std::string, FailedStarts> failed_starts_;   // the same
  uint32_t next_executor_ = 1;
  bool apart_wanted_ = false;
  uint32_t apart_starts_ = 0;
  uint64_t last_session_ = 0;
  MonotonicTime last_timer_ = 0;
  MonotonicTime awake_since_ = 0;
};

}  // namespace sluice
