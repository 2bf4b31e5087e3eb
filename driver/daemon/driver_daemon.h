// The driver daemon: the core of daemon_core.h connected to links, clients, processes and disk.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/event_loop.h"
#include "common/net/block_fetcher.h"
#include "common/net/security.h"
#include "common/net/transport.h"
#include "common/spawn.h"
#include "checkpoint/log_store.h"
#include "driver/daemon/binary_store.h"
#include "driver/daemon/daemon_core.h"
#include "driver/daemon/data_folder.h"
#include "driver/daemon/leader_seat.h"

namespace sluice {
class GrpcTransport;
class HttpServer;
}

namespace sluice::daemon {

class DriverService;

struct DriverDaemonOptions {
  std::string host = "127.0.0.1";
  int port = 0;
  std::string advertise;       // empty: `host`
  bool http = false;
  std::string http_host;
  int http_port = 0;
  std::string data_dir;
  std::string store;           // of the job table, see table_store.h; empty: in data_dir
  int64_t lease_us = 5'000'000;  // with a store: silence after which another daemon takes over
  Security security;
  JobTimes times;
};

// Thread-safe. Jobs go on when it is destroyed.
class DriverDaemon : private Transport::Handler {
 public:
  // Codes as in common/exit_status.h: FailedPrecondition for a data folder in use or a bind that is
  // refused, AlreadyExists for a port in use, DataLoss for a damaged job table.
  static absl::StatusOr<std::unique_ptr<DriverDaemon>> Start(DriverDaemonOptions options);
  ~DriverDaemon() override;

  const std::string& address() const;
  const std::string& http_address() const { return http_address_; }

  // Asks all jobs to drain; true when all have ended before the deadline (and a grace for those
  // that are ended by force then).
  bool DrainJobs(int64_t deadline_ms);

  // ---- for the services ------------------------------------------------------------------------

  struct View {  // of one moment
    uint64_t version = 0;
    proto::JobList jobs;
    proto::WorkerList workers;
  };
  std::shared_ptr<const View> view() const;
  // The first view newer than `version`, or null after `milliseconds`, or when we are ending.
  std::shared_ptr<const View> AwaitNewer(uint64_t version, int64_t milliseconds) const;
  bool ending() const;
  bool ready() const;
  // False while another leads, or nobody, or another may by now: its store does not answer.
  bool leads() const;
  struct Leader {
    bool self = false;
    std::string address;  // empty: not known
    MonotonicTime sure_until = std::numeric_limits<MonotonicTime>::max();
  };
  Leader leader() const;
  // The same, looked up in the store where the lease is over: of a daemon that has just woken up.
  Leader AskLeader();

  // Runs the event through the core and waits for its Answer. Exit code 4: it does not lead (any
  // more), or ends; whether the event had an effect is not known.
  proto::Outcome Call(std::function<Event(uint64_t request)> make);
  proto::FindStreamReply FindStream(const std::string& job, const std::string& stream);
  // As it was submitted; nothing: no such job.
  std::optional<proto::JobSpec> SpecOf(const std::string& job);
  // A received block's bytes from the first of these workers, named by id, that has them. Waits.
  std::optional<std::string> ReadBlock(const proto::BlockInfo& block,
                                       const std::vector<std::string>& holders);
  BinaryStore& binaries() { return *binaries_; }
  const DataFolder& folder() const { return *folder_; }
  // Runs the binary once to ask it who it is, as CheckJobBinary.
  absl::Status Probe(const std::string& digest);

 private:
  explicit DriverDaemon(DriverDaemonOptions options);
  absl::Status Begin();
  absl::Status ServeHttp();
  void OnMessage(const std::string& from, proto::Envelope message) override;
  void OnPeerDown(const std::string& address, bool refused) override;

  // On the loop.
  void Feed(const Event& event);
  bool LeadsForSure();
  void TakeTurn();
  void BeginLeading(proto::JobTable table);
  void StandBy(const std::string& why);
  void TellWhoLeads(const std::string& to);
  void ShowLeader();
  void CopyBinaries();
  absl::Status CopyBinary(const std::string& leader, const proto::LeaderEntry::Binary& binary);
  absl::Status BeginSeat();
  void CarryOut(std::vector<Command> commands);
  void Do(const Introduce& command);
  void Do(const Send& command);
  void Do(const Persist& command);
  void Do(const StartDriver& command);
  void Do(const WatchDriver& command);
  void Do(const EndFormer& command);
  void Do(const KillDriver& command);
  void Do(const Answer& command);
  void Do(const ForgetRuns& command);
  void Do(const Say& command);
  absl::StatusOr<ProcessId> Spawn(const StartDriver& command);
  absl::Status FillFolder(const StartDriver& command, const std::string& folder);
  void OnTick();
  void LookAfterProcesses();
  void CollectBinaries();
  void Publish();

  struct Watched {
    std::string job;
    std::string folder;
    ProcessId process;
    bool former = false;  // tell FormerEnded, else DriverExited
  };

  const DriverDaemonOptions options_;
  std::unique_ptr<DataFolder> folder_;
  std::unique_ptr<BinaryStore> binaries_;
  std::unique_ptr<LogStore> store_;     // of the table, where there is one
  std::unique_ptr<LeaderSeat> seat_;    // in it
  std::unique_ptr<DaemonCore> core_;    // null while another leads; loop only
  proto::JobTable former_;              // of a daemon without a store that had this folder
  std::vector<Watched> watched_;         // loop only
  std::map<std::string, ProcessId> processes_;  // by job; loop only
  std::map<std::string, std::string> folders_;  // of their runs, by job; loop only
  std::deque<Event> follow_ups_;         // loop only
  absl::Status persisted_;               // of the last Persist; loop only
  proto::JobTable unsaved_;              // what could not be saved; loop only
  MonotonicTime collect_at_ = 0;         // loop only

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::shared_ptr<const View> view_ = std::make_shared<View>();
  std::map<uint64_t, proto::Outcome> answers_;
  uint64_t next_request_ = 1;
  uint64_t terms_ended_ = 0;
  Leader leader_;
  BlockFetcher blocks_;
  bool ending_ = false;
  bool ready_ = false;

  Spawner spawner_;
  std::unique_ptr<DriverService> service_;
  std::unique_ptr<GrpcTransport> transport_;
  std::unique_ptr<HttpServer> http_;
  std::string http_address_;
  std::unique_ptr<EventLoop> loop_;
  std::atomic<bool> copying_ = false;
  EventLoop copies_{EventLoop::Options{.name = "binary copies"}};
};

}  // namespace sluice::daemon
