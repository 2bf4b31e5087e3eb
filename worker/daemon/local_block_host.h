// A worker daemon inside another process: local mode and tests. The same core over an in-process
// transport, blocks on the heap, executors as objects instead of processes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/event_loop.h"
#include "common/net/local_transport.h"
#include "worker/daemon/block_store.h"
#include "worker/daemon/worker_shell.h"

namespace sluice {

struct LocalBlockHostOptions {
  std::string worker_id = "local";
  std::string address = "worker";  // in the hub
  std::string host = "localhost";
  uint32_t slots = 1;
  uint64_t block_memory = uint64_t{1} << 30;
  std::string spill_dir;           // empty: a full block memory holds intake back
  // Called on the loop: an executor is to be made, which attaches by ExecutorAttach.
  std::function<void(const proto::StartExecutor&)> start_executor;
  // Called on a thread of its own, while the loop goes on: one is to go, and has gone when this
  // returns. May be called again for one that has gone.
  std::function<void(const ExecutorKey&)> end_executor;
};

class LocalBlockHost {
 public:
  // `loop` outlives the host and runs the endpoint's handler too.
  static absl::StatusOr<std::unique_ptr<LocalBlockHost>> Start(LocalBlockHostOptions options,
                                                               LocalHub* hub, EventLoop* loop);
  ~LocalBlockHost();  // not on the loop's thread

  // Executors in this process read blocks in place.
  BlockStore* store() { return store_.get(); }
  const std::string& address() const { return transport_->address(); }

 private:
  class Shell;
  LocalBlockHost();

  EventLoop* loop_ = nullptr;
  std::unique_ptr<BlockStore> store_;
  std::unique_ptr<Shell> shell_;
  std::unique_ptr<Transport> transport_;
};

}  // namespace sluice
