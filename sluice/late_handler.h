// A transport must exist before what handles its messages, which needs the transport's address.
#pragma once

#include <atomic>
#include <string>
#include <utility>

#include "common/net/transport.h"

namespace sluice {

// Thread-safe. What comes before Connect is dropped, as a message to a process that is not yet
// there would be; whoever sent it asks again.
class LateHandler : public Transport::Handler {
 public:
  void Connect(Transport::Handler* handler) { handler_ = handler; }
  void OnMessage(const std::string& from, proto::Envelope message) override {
    if (Transport::Handler* handler = handler_.load()) {
      handler->OnMessage(from, std::move(message));
    }
  }
  void OnPeerDown(const std::string& address, bool refused) override {
    if (Transport::Handler* handler = handler_.load()) handler->OnPeerDown(address, refused);
  }
  void OnLinkReset(const std::string& address) override {
    if (Transport::Handler* handler = handler_.load()) handler->OnLinkReset(address);
  }

 private:
  std::atomic<Transport::Handler*> handler_ = nullptr;
};

}  // namespace sluice
