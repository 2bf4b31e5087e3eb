// A process for tests to kill: prints its address and sends every message back to its sender.
#include <condition_variable>
#include <cstdio>
#include <mutex>

#include <sys/prctl.h>

#include <csignal>

#include "common/net/grpc_transport.h"

namespace sluice {
namespace {

class Echo : public Transport::Handler {
 public:
  void OnMessage(const std::string& from, proto::Envelope message) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return transport_ != nullptr; });
    transport_->Send(from, std::move(message));
  }
  void OnPeerDown(const std::string&, bool) override {}
  void Use(Transport* transport) {
    std::lock_guard lock(mutex_);
    transport_ = transport;
    changed_.notify_all();
  }
  void WaitForEver() {
    std::unique_lock lock(mutex_);
    for (;;) changed_.wait(lock);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Transport* transport_ = nullptr;
};

int Run() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Echo echo;
  auto transport = GrpcTransport::Start({}, &echo);
  if (!transport.ok()) return 1;
  echo.Use(transport->get());
  printf("%s\n", (*transport)->address().c_str());
  fflush(stdout);
  echo.WaitForEver();
  return 0;
}

}  // namespace
}  // namespace sluice

int main() { return sluice::Run(); }
