// Where a process listens. gRPC's own listener gives up for ever when accept fails once for lack of
// descriptors; this one says so, waits, and goes on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

class Acceptor {
 public:
  // Called on the acceptor's thread, which owns neither descriptor afterwards but the listener.
  using Take = std::function<void(int listener, int connection)>;

  // Listens at all addresses of `host`, under one port; 0: a free one. What connects waits until
  // Start. AlreadyExists: the port is in use. InvalidArgument: no such host, or another error.
  // Unavailable: the host cannot be looked up now. ResourceExhausted: no descriptor is left.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Listen(const std::string& host, int port);
  // Stops. Whoever has not been accepted is refused.
  ~Acceptor();

  int port() const { return port_; }
  void Start(Take take);

 private:
  Acceptor() = default;
  absl::Status Bind(const std::string& host, int port);
  void Run();
  // All who wait there. False: for some there is no descriptor.
  bool AcceptAll(int listener);
  // Until something connects, or, with `pause`, a little while. False: it is over.
  bool Wait(bool pause);

  int port_ = 0;
  std::vector<int> listeners_;
  int stop_ = -1;  // readable when it is over
  Take take_;
  bool starved_ = false;  // there was no descriptor for who connects
  std::thread thread_;
};

}  // namespace sluice
