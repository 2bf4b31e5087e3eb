// The executor in its process, or in local mode one of several in a process: connects the core to
// links, slots, state and stores.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/object_store.h"
#include "checkpoint/state_part.h"
#include "common/clock.h"
#include "common/net/transport.h"
#include "common/plan/graph.h"
#include "proto/cluster.pb.h"
#include "worker/executor/block_reader.h"
#include "worker/executor/output_stager.h"
#include "worker/executor/state_store.h"
#include "worker/executor/transport_block_reader.h"

namespace sluice {

// What the program's build function made.
struct BuiltGraph {
  std::shared_ptr<const LineageGraph> graph;
  int64_t batch_interval_ms = 1000;
  StateBackend state = {};
};

// Threads that one slot may come to, its own included: so many tasks that were left for their copy
// may still run, and their board has so many places.
inline constexpr uint32_t kThreadsPerSlot = 4;

struct ExecutorOptions {
  uint64_t job_instance = 0;
  uint64_t epoch = 0;
  uint32_t executor = 0;
  uint32_t slots = 1;
  std::string job_driver;              // address
  std::string worker;                  // address of the daemon; empty: it wants no beats
  std::string worker_id;
  std::string binary_digest;
  int64_t pid = 0;
  bool pin_slots = false;              // to cores, when there are no more slots than cores
  int64_t beat_us = 200'000;
  // Runs the build function with the job driver's constants. Called once, on a slot.
  std::function<absl::StatusOr<BuiltGraph>(const proto::ExecutorInit&)> build;
  // All of these outlive the executor.
  BlockReader* blocks = nullptr;                // null: over the links
  TransportBlockReader::LocalBlocks local_blocks;  // tried first, over the links
  ObjectStore* objects = nullptr;
  const StatePartCodec* codec = nullptr;
  OutputStager* outputs = nullptr;
  RunningTaskBoard* board = nullptr;            // may be null
  std::function<void(const std::string&)> state_lost;  // as in TaskSetup
  Clock* clock = &RealClock();
};

// Thread-safe. Slots are threads; a slot that has nothing to run takes what comes in, steps the
// core, and runs what follows from it itself, waking others only when there is enough for them.
class Executor : public Transport::Handler {
 public:
  explicit Executor(ExecutorOptions options);
  ~Executor() override;  // stops; the transport must not call any more

  // Says hello to the job driver and goes on from there. `transport` has this as its handler and
  // outlives the executor's Stop.
  void Start(Transport* transport);
  // Ends when the tasks at hand have ended.
  void Stop();

  void OnMessage(const std::string& from, proto::Envelope message) override;
  void OnPeerDown(const std::string& address, bool refused) override;
  void OnLinkReset(const std::string& address) override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
