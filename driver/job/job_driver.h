// The job driver as a running thing: the core connected to transport, log, store and user code.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/checkpoint_collector.h"
#include "checkpoint/checkpoint_store.h"
#include "checkpoint/log_store.h"
#include "common/event_loop.h"
#include "common/net/transport.h"
#include "driver/job/file_outputs.h"
#include "driver/job/job_driver_core.h"
#include "driver/job/listener_news.h"
#include "driver/job/output_folders.h"
#include "driver/job/recovery.h"

namespace sluice {

// What a job driver works with. All of it outlives the driver.
struct JobDriverParts {
  const LineageGraph* graph = nullptr;
  LogStore* log_store = nullptr;
  ObjectStore* objects = nullptr;
  const StatePartCodec* codec = nullptr;
  // Of Print; called on one thread. What fails is tried again.
  std::function<absl::Status(const std::string&)> print;
  internal::ListenerBus* listeners = nullptr;     // hears of batches and receivers; may be null
  std::function<uint64_t()> random;
  bool known_job = false;
  bool overwrite = false;  // batches of other jobs, of every output
  Clock* clock = &RealClock();
};

struct JobEnding {
  int exit_code = 0;
  std::string state;
  std::string message;
};

// Thread-safe; one thread at a time in AwaitSettled. Threads: one runs the core, one appends to the
// log, one lists sources, one publishes, one marks the places of outputs, one puts and collects
// checkpoints (a store may be far away, and publication must not wait for it), one runs user code
// of output operations.
class JobDriver : public Transport::Handler {
 public:
  // Opens the log and an epoch in it, before anything else of the job starts. `options` lacks
  // what only the transport knows; it is completed by Start.
  static absl::StatusOr<std::unique_ptr<JobDriver>> Open(JobDriverParts parts);
  ~JobDriver() override;

  // The job before this epoch: what it was run as, and what is left of it.
  const RecoveredJob& recovered() const { return opened_.job; }
  uint64_t epoch() const { return opened_.job.epoch; }

  // Messages and members may come from now on. `transport` outlives the driver's Stop.
  void Start(JobDriverOptions options, proto::ExecutorInit init, Transport* transport);
  // Nothing is done or sent any more, and what comes is dropped; then the transport may go.
  void Stop();
  void OnMessage(const std::string& from, proto::Envelope message) override;
  void OnPeerDown(const std::string& address, bool refused) override;

  void RequestStop(const StopRequested& stop);
  // How the job ended; nothing when the time was over first. Negative: without limit.
  std::optional<JobEnding> Await(int64_t milliseconds);
  // Blocks until every batch that is due is decided, all that is decided is published and logged,
  // and no checkpoint is under way. False: the job has ended. For those who move the clock
  // themselves.
  bool AwaitSettled();
  proto::JobStatus Status();

 private:
  JobDriver(JobDriverParts parts, OpenedJob opened);

  void Feed(DriverEvent event);
  void Step(const DriverEvent& event);
  void ArmTimer();
  void TellSettled();
  void Carry(DriverCommand command);
  void Append(AppendEntries append);
  void FinishAppend(absl::StatusOr<LogPosition> position);
  SourcesListed List(const ListSources& list);
  void AskValues(SourcesListed& listed);
  void Publish(const PublishOutput& publish);
  void Foreach(const RunForeach& run);
  void Put(const PutManifest& put);
  void Keep(const KeepAside& keep);
  void Collect(uint64_t below_slot);
  void CollectReceivedBlocks(const std::string& oldest);  // a manifest

  JobDriverParts parts_;
  OpenedJob opened_;
  CheckpointStore checkpoints_;
  CheckpointCollector collector_;
  FileOutputs files_;  // by the thread of output_loop_
  OutputFolders folders_;  // by that of probe_loop_
  JobDriverOptions options_;
  Transport* transport_ = nullptr;
  std::unique_ptr<JobDriverCore> core_;
  std::optional<EventLoop::TimerId> timer_;
  bool listed_before_ = false;
  bool settling_ = false;  // somebody waits; by the core's thread

  std::mutex mutex_;
  std::condition_variable ended_;
  std::optional<JobEnding> ending_;
  bool settled_ = false;

  EventLoop loop_;
  EventLoop log_loop_;
  EventLoop io_loop_;
  EventLoop store_loop_;
  EventLoop output_loop_;  // a bucket that is away holds up nothing else
  EventLoop probe_loop_;   // nor does publication hold up the start of executors
  EventLoop user_loop_;
  ListenerNews news_;
};

}  // namespace sluice
