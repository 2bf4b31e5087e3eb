// A receiver executor without its process: the handshake with its daemon and its job driver, then
// the receivers. Local mode runs one inside the program, a receiver executor runs one in a process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "common/event_loop.h"
#include "common/net/push_service.h"
#include "common/net/transport.h"
#include "common/plan/graph.h"
#include "worker/receiver/receiver_host.h"

namespace sluice {

// What the program's build function made, as far as receivers need it.
struct ReceiverGraph {
  std::shared_ptr<const LineageGraph> graph;
  int64_t block_interval_us = 200'000;
  double max_rate = 0;      // as in ReceiverHostOptions
  double initial_rate = 0;
};

struct ReceiverNodeOptions {
  uint64_t job_instance = 0;
  uint64_t epoch = 0;
  uint32_t executor = 0;
  std::string job_driver;      // address
  std::string worker;          // address of the daemon
  std::string worker_id;
  std::string binary_digest;
  std::string push_address;    // told to the job driver; empty: nothing can be pushed
  int64_t pid = 0;
  std::vector<uint32_t> streams;
  std::vector<uint64_t> incarnations;  // one per stream
  int64_t beat_us = 200'000;
  // Runs the build function with the job driver's constants, once, on a thread of its own.
  std::function<absl::StatusOr<ReceiverGraph>(const proto::ExecutorInit&)> build;
  // One line each, any thread.
  std::function<void(const std::string&)> report = [](const std::string&) {};
};

// Thread-safe.
class ReceiverNode : public Transport::Handler {
 public:
  // `loop` outlives the node. `push` may be null; it is served once the graph is built.
  ReceiverNode(ReceiverNodeOptions options, std::unique_ptr<BufferPool> pool, EventLoop* loop,
               PushService* push);
  ~ReceiverNode() override;  // Stop; the transport must not call any more

  // Says hello to the job driver, builds the graph when it answers, attaches to the daemon and
  // receives. `transport` has this as its handler and outlives Stop.
  void Start(Transport* transport);
  // Ends the receivers, seals what is open, and waits a little until the daemon has it.
  void Stop();

  void OnMessage(const std::string& from, proto::Envelope message) override;
  void OnPeerDown(const std::string& address, bool refused) override;

 private:
  void Beat();
  void Build(const proto::ExecutorInit& init);
  absl::Status BuildHost(const proto::ExecutorInit& init, uint64_t* fingerprint);
  void SendAttach(const ReceiverHost& host);
  void SendHello();

  const ReceiverNodeOptions options_;
  EventLoop* const loop_;
  PushService* const push_;
  Transport* transport_ = nullptr;
  std::unique_ptr<BufferPool> pool_;  // until the host has it

  std::mutex mutex_;
  bool building_ = false;
  bool stopping_ = false;
  int readies_left_ = 0;               // repetitions of the answer, which nobody confirms
  proto::ExecutorReady ready_;
  std::shared_ptr<ReceiverHost> host_;
  std::thread builder_;
  EventLoop::TimerId timer_;
};

}  // namespace sluice
