// A network inside one process: endpoints with names, messages moved and never encoded. Local
// mode and tests run on it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/event_loop.h"
#include "common/net/transport.h"

namespace sluice {

// Thread-safe. Copies share the network, which lives as long as a copy or an endpoint.
class LocalHub {
 public:
  // Sees each message when it is sent, on the sender's thread.
  using Observer = std::function<void(const std::string& from, const std::string& to,
                                      const proto::Envelope& message)>;
  explicit LocalHub(Observer observer = nullptr);
  // An endpoint under `address`, which must be free (null otherwise). Its handler is called on
  // `loop` only, which both outlive it; after its destructor returned, never. Destroying it tells
  // every endpoint that exchanged messages with it: OnPeerDown(address, refused = true).
  // Called off the loop's thread, the destructor waits for the call at hand.
  std::unique_ptr<Transport> Open(const std::string& address, Transport::Handler* handler,
                                  EventLoop* loop);

 private:
  class Network;
  class Endpoint;
  class LocalTransport;
  std::shared_ptr<Network> network_;
};

}  // namespace sluice
