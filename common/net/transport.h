// The seam between shells and the network: one-way messages over standing links. Behind it are
// gRPC (grpc_transport.h), a hub inside one process (local_transport.h), the simulator's network.
#pragma once

#include <string>

#include "proto/cluster.pb.h"

namespace sluice {

// Contract: a link to an address opens at the first Send and stays. Its messages arrive in order,
// each at most once in most cases: after a break those not yet delivered may be lost or come
// twice, so every message is idempotent and either periodic or repeated until answered.
// Thread-safe.
class Transport {
 public:
  // Called on any thread. Calls about one link come one after another. The handler should hand
  // the event to its own loop and return; it may call Send, never ~Transport.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnMessage(const std::string& from, proto::Envelope message) = 0;
    // The link to `address` is closed and what waited for it is dropped; the next Send tries
    // anew. `refused`: its host is there and says that nobody listens, so that process has ended.
    // Not refused: broken or unreachable, which proves nothing.
    virtual void OnPeerDown(const std::string& address, bool refused) = 0;
    // The process at `address` does not take what this one presents; OnPeerDown follows.
    virtual void OnPeerDenied(const std::string& address, const std::string& why) {
      (void)address;
      (void)why;
    }
    // The link broke and was opened again at once: messages sent shortly before may be lost.
    virtual void OnLinkReset(const std::string& address) { (void)address; }
  };

  virtual ~Transport() = default;
  // Never waits. A message to an address that cannot be reached ends in OnPeerDown. One that is
  // larger than a peer takes (80 MiB) is dropped with an error in the log.
  virtual void Send(const std::string& to, proto::Envelope message) = 0;
  // Where others reach this process: HOST:PORT.
  virtual const std::string& address() const = 0;
};

}  // namespace sluice
