// Runs the receivers of one executor, each body on a thread of its own, around one receiver core.
// In a receiver executor the buffers are slices of the daemon's arena; in local mode the heap.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/event_loop.h"
#include "common/net/push_service.h"
#include "common/net/transport.h"
#include "common/plan/kernel.h"
#include "worker/receiver/receiver_core.h"

namespace sluice {

struct ReceiverStream {
  uint32_t id = 0;              // source node of the lineage graph
  std::string name;
  uint64_t incarnation = 0;
  std::shared_ptr<const ReceiverFactory> factory;  // null: records are pushed
};

struct ReceiverHostOptions {
  uint64_t job_instance = 0;
  std::string daemon;           // address of the worker daemon
  std::vector<ReceiverStream> streams;
  int64_t block_interval_us = 200'000;
  double max_rate = 0;          // records/s of each receiver; 0: no bound
  double initial_rate = 0;      // until the job driver has told one; 0: no bound
  // Errors of receivers and what holds intake back, one line each. Any thread.
  std::function<void(const std::string&)> report = [](const std::string&) {};
};

// Thread-safe.
class ReceiverHost : public PushBackend {
 public:
  static constexpr int64_t kTickUs = 10'000;

  // Transport and loop outlive the host; the loop only runs a timer.
  ReceiverHost(ReceiverHostOptions options, std::unique_ptr<BufferPool> pool,
               Transport* transport, EventLoop* loop);
  ~ReceiverHost() override;  // Stop. Not on the loop's thread.

  // Starts the bodies' threads.
  void Start();
  // What came for the receivers: SealedSlices, BlockVerdict, SealTick, ReceiverRates,
  // ProducerAnswer.
  void OnMessage(const proto::Envelope& message);
  // Tells the bodies to stop, waits for them, seals what is open. Stores that wait return nothing.
  void Stop();
  // After Stop: returns when the daemon has taken what was sealed, or the time is over.
  bool AwaitSealed(int64_t milliseconds);
  // See ReceiverCore::taken.
  std::vector<proto::ReceiverTaken> Taken() const;

  // ---- pushed records (common/net/push_service.h)
  std::optional<uint32_t> PushStream(const std::string& name) const override;
  uint64_t StoreLater(uint32_t stream, const BatchView& records, const std::string& producer,
                      int64_t first, Done done) override;
  void Cancel(uint32_t stream, uint64_t id) override;
  absl::StatusOr<int64_t> LastLogged(uint32_t stream, const std::string& producer,
                                     const std::function<bool()>& gone) override;
  bool Stopping() override;

 private:
  class Sink;
  void RunBody(const ReceiverStream& stream);
  void Tick();
  void Step(const receiver::Event& event);        // with mutex_ held
  void Do(receiver::Commands& commands);          // with mutex_ held
  bool Store(const ReceiverStream& stream, std::string_view record);
  bool StoreBlock(const ReceiverStream& stream, const BatchView& records);
  void Report(const ReceiverStream& stream, std::string_view message);
  uint64_t Request(receiver::StoreRequest request, Done done);
  std::optional<int64_t> StoreReliably(uint32_t stream, EncodedBatch records,
                                       std::string_view producer, int64_t first);
  // Waits until further records are within the rate; false: stopping.
  bool AwaitRate(std::unique_lock<std::mutex>& lock, uint32_t stream);
  bool WaitStopping(int64_t milliseconds);

  const ReceiverHostOptions options_;
  const std::unique_ptr<BufferPool> pool_;
  Transport* const transport_;
  EventLoop* const loop_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;  // room, an answer, an end
  ReceiverCore core_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, Done> waiting_;             // of StoreLater, by id
  std::map<uint64_t, std::optional<receiver::Answered>> asking_;  // of LastLogged
  std::map<uint32_t, MonotonicTime> reported_;    // when an error was last sent
  bool stopping_ = false;
  bool stopped_ = false;
  EventLoop::TimerId timer_;
  std::vector<std::thread> threads_;
};

}  // namespace sluice
