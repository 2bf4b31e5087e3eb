// A whole cluster in the simulated world: what a driver daemon does for one job (membership,
// relaunching the job driver), producers, files that arrive, and disasters.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/driver_process.h"
#include "tests/sim/site.h"
#include "tests/sim/worker_process.h"

namespace sluice::sim {

// Pushes the numbers 1, 2, 3 … under its name, follows the receiver, sends again what was not
// acknowledged.
struct Producer {
  std::string name;
  int64_t acknowledged = 0;
  int64_t sent = 0;          // behind it the next push begins
  int64_t made = 0;          // numbers that exist by now
  bool waiting = false;
  uint64_t attempt = 0;
  bool ask_first = true;
};

inline constexpr int64_t kDrainDeadlineMs = 60'000;  // not reached by a job driver that leads

class Cluster : private Process {
 public:
  Cluster(Site* site, Random* chaos);
  ~Cluster() override;

  // From here on nothing goes wrong any more, and everything that was down comes back; but one
  // worker, where the knobs say so, stays down, paused or cut off for ever.
  void Calm();
  void StopProducing() { producing_ = false, site_->plain_ended = true; }
  // A worker's processes are killed, and it does not come back.
  void LoseWorker(size_t index) { workers_[index].process.reset(); }
  // All that was made is acknowledged, planned, decided and published.
  bool Finished() { return Unfinished().empty(); }
  std::string Unfinished();        // why it is not
  std::string HeldBlocks() const;  // the first one and how many there are; empty: none
  uint64_t LostRecords() const;    // that the job driver counts
  std::string ExecutorsLeft() const;  // by a job that has ended

 private:
  struct Slot {
    std::string host;
    std::string worker_id;
    std::unique_ptr<WorkerProcess> process;
  };

  ReceiverProcess* ReceiverAt(const std::string& address);
  // The driver daemon's part.
  int64_t TickClockMs(int64_t last_planned_ms);
  void OnMessage(const std::string& from, proto::Envelope message) override;
  void OnPeerDown(const std::string&, bool) override {}
  void OnLinkReset(const std::string&) override {}
  void TellMembers();
  void LaunchDriver();
  void DriverEnded(DriverProcess* driver, int code, const std::string& message);
  void StartWorker(size_t slot);

  // Producers and files.
  void Produce(size_t index);
  void PushNext(size_t index);
  void OnReply(size_t index, uint64_t attempt, std::optional<int64_t> last, bool asked);
  void AddFile();
  void AskForReplay();  // letters.cc

  // drain.cc
  void Drain();
  void Cancel();
  void Cancelled(const DriverProcess& driver);
  void TellStop();
  void TellOver(const std::string& worker, const proto::WorkerHeartbeat& heartbeat);
  void Drained(const DriverProcess& driver);

  // disasters.cc
  void NextDisaster();
  void Disaster();
  void CrashDriver();
  void PauseDriver();
  void CrashExecutor(bool receiver);
  bool BelievedWhole() const;
  void CrashDaemon(bool node);
  void CrashAllNodes();
  void DamageCheckpoint();
  void Reshape();
  void PauseNode();
  void CutHosts(bool both);
  void FillLog();
  void PowerLoss();
  void KeepOneAway();
  bool StaysAway(const std::string& host) const {
    return away_.has_value() && workers_[*away_].host == host;
  }
  std::vector<std::string> Hosts() const;
  void Later(int64_t delay, std::function<void()> act) {
    site_->world.After("", delay, std::move(act));
  }

  Site* const site_;
  Random* const chaos_;
  std::string address_;
  bool members_down_ = false;
  int64_t seen_planned_ms_ = 0;     // at the last look,
  int64_t seen_at_ms_ = 0;          // since then
  bool producing_ = true;
  bool draining_ = false;
  bool cancelling_ = false;
  bool cancelled_ = false;  // it was asked for
  bool ended_ = false;
  std::set<std::string> registered_;
  std::vector<Slot> workers_;
  std::optional<size_t> away_;  // the worker that stays away
  std::vector<std::unique_ptr<DriverProcess>> drivers_;
  std::vector<std::string> paused_;
  std::vector<std::unique_ptr<DriverProcess>> dead_;
  std::vector<Producer> producers_;
  int files_ = 0;
};

}  // namespace sluice::sim
