#include "worker/receiver/receiver_executor.h"

#include <unistd.h>

#include <atomic>
#include <utility>

#include "common/net/grpc_transport.h"
#include "common/status.h"
#include "worker/receiver/buffer_pools.h"
#include "worker/shm/fd_client.h"

namespace sluice {
namespace {

constexpr int64_t kLastWordsUs = 500'000;

// Hands on to a handler that is made after the transport, whose address it needs.
class LateHandler : public Transport::Handler {
 public:
  void Set(Transport::Handler* handler) { handler_.store(handler, std::memory_order_release); }
  void OnMessage(const std::string& from, proto::Envelope message) override {
    if (auto* handler = handler_.load(std::memory_order_acquire)) {
      handler->OnMessage(from, std::move(message));
    }
  }
  void OnPeerDown(const std::string& address, bool refused) override {
    if (auto* handler = handler_.load(std::memory_order_acquire)) {
      handler->OnPeerDown(address, refused);
    }
  }

 private:
  std::atomic<Transport::Handler*> handler_{nullptr};
};

}  // namespace

struct ReceiverExecutor::Parts {
  EventLoop loop{EventLoop::Options{.name = "receiver"}};
  std::unique_ptr<FdClient> descriptors;
  PushService push;
  LateHandler handler;
  std::unique_ptr<GrpcTransport> transport;
  std::unique_ptr<ReceiverNode> node;
};

ReceiverExecutor::ReceiverExecutor() : parts_(std::make_unique<Parts>()) {}
ReceiverExecutor::~ReceiverExecutor() { Stop(); }

absl::StatusOr<std::unique_ptr<ReceiverExecutor>> ReceiverExecutor::Start(
    ReceiverExecutorOptions options) {
  std::unique_ptr<ReceiverExecutor> executor(new ReceiverExecutor());
  Parts& parts = *executor->parts_;
  const ExecutorRoleFlags& flags = options.flags;
  ASSIGN_OR_RETURN(parts.descriptors, FdClient::Connect(flags.socket));
  ASSIGN_OR_RETURN(ArenaWriter arena, parts.descriptors->AttachArena());
  GrpcTransportOptions net;
  net.host = flags.host;
  net.security = options.security;
  net.services = {parts.push.service()};
  ASSIGN_OR_RETURN(parts.transport, GrpcTransport::Start(std::move(net), &parts.handler));
  ReceiverNodeOptions node;
  node.job_instance = flags.instance;
  node.epoch = flags.epoch;
  node.executor = flags.executor;
  node.job_driver = flags.job_driver;
  node.worker = flags.worker;
  node.worker_id = flags.worker_id;
  node.binary_digest = flags.digest;
  node.push_address = parts.transport->address();
  node.pid = ::getpid();
  node.streams = flags.streams;
  node.incarnations = flags.incarnations;
  node.build = std::move(options.build);
  node.report = std::move(options.report);
  parts.node = std::make_unique<ReceiverNode>(std::move(node), NewArenaPool(std::move(arena)),
                                              &parts.loop, &parts.push);
  parts.node->Start(parts.transport.get());
  parts.handler.Set(parts.node.get());
  return executor;
}

void ReceiverExecutor::Stop() {
  if (parts_->node != nullptr) parts_->node->Stop();
  if (parts_->transport != nullptr) parts_->transport->Shutdown(kLastWordsUs);
  parts_->transport.reset();
  parts_->node.reset();
}

const std::string& ReceiverExecutor::address() const { return parts_->transport->address(); }

}  // namespace sluice
