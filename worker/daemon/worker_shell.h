// The body around the core that every form of worker daemon has: one thread that takes events,
// steps the core, moves blocks and sends messages. What concerns processes is left to the form.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "common/event_loop.h"
#include "common/net/transport.h"
#include "worker/daemon/block_store.h"
#include "worker/daemon/data_plane.h"
#include "worker/daemon/received_log.h"
#include "worker/daemon/worker_core.h"

namespace sluice {

class WorkerShell : public Transport::Handler {
 public:
  // Both outlive the shell; the loop is stopped before the shell goes.
  WorkerShell(EventLoop* loop, BlockStore* store) : loop_(loop), store_(store) {}

  // What came before is dropped. The transport outlives the shell's last event.
  void Begin(const WorkerConfig& config, Transport* transport);

  // Nothing is sent or done any more; what comes is dropped. Not on the loop's thread. Afterwards
  // the transport may go, and when the loop has taken what that had posted, the shell.
  void End();

  void OnMessage(const std::string& from, proto::Envelope message) override;
  void OnPeerDown(const std::string& address, bool refused) override;
  void OnPeerDenied(const std::string& address, const std::string& why) override;
  void OnLinkReset(const std::string& address) override;

  // From any thread.
  void Post(worker::Event event);

 protected:
  // All on the loop's thread. An event that they cause goes through Feed or Post.
  virtual void StartProcess(const worker::StartProcess& command) = 0;
  virtual void EndProcess(const worker::EndProcess& command) = 0;
  virtual void FetchBinary(const worker::FetchBinary& command) = 0;
  virtual void KeepBinaries(const worker::KeepBinaries& command) = 0;
  virtual void ForgetExecutor(const ExecutorKey& executor) = 0;
  virtual void Exit(const worker::Exit& command) = 0;
  virtual std::optional<BatchView> ArenaView(const ExecutorKey& executor, uint64_t offset,
                                             uint32_t records) = 0;

  void Feed(worker::Event event);
  EventLoop* loop() const { return loop_; }
  BlockStore* store() const { return store_; }
  const WorkerCore* core() const { return core_.get(); }  // on the loop's thread

 private:
  void Tick();
  void Do(worker::Command& command);

  EventLoop* const loop_;
  BlockStore* const store_;
  Transport* transport_ = nullptr;
  std::unique_ptr<WorkerCore> core_;
  std::unique_ptr<DataPlane> data_;
  std::unique_ptr<ReceivedLog> received_log_;
  std::deque<worker::Event> events_;
  EventLoop::TimerId timer_;
  bool stepping_ = false;
};

}  // namespace sluice
