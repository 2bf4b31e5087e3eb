// The transport between processes: gRPC streams, one per direction of each pair of processes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/net/security.h"
#include "common/net/transport.h"

namespace grpc {
class Service;
}

namespace sluice {

namespace internal {
class LinkCore;
}

struct GrpcTransportOptions {
  std::string host = "127.0.0.1";  // bound to
  int port = 0;                    // 0: a free one
  std::string advertise = "";      // host under which others reach it; empty: `host`
  Security security = {};
  // Served beside the links, under the same door. They outlive the transport, and end their calls
  // when these are cancelled.
  std::vector<grpc::Service*> services = {};
  // How long a broken link is tried again before it counts as down, and a first connection.
  int64_t reconnect_us = 50'000;
  int64_t connect_us = 5'000'000;
  // A peer that takes nothing for so long that this much waits for it counts as down.
  uint64_t queued_bytes_max = uint64_t{1} << 30;
};

class GrpcTransport : public Transport {
 public:
  // Listens. The handler, which outlives the transport, may be called before this returns.
  // AlreadyExists: the port is in use. FailedPrecondition: the bind is refused (BindPolicy).
  // InvalidArgument: no such host or port. (Exit codes 3, 3, 2: common/exit_status.h.) Unavailable,
  // ResourceExhausted: the host cannot be looked up now, or there is no descriptor.
  static absl::StatusOr<std::unique_ptr<GrpcTransport>> Start(GrpcTransportOptions options,
                                                              Handler* handler);
  ~GrpcTransport() override;  // Shutdown(1 s)

  void Send(const std::string& to, proto::Envelope message) override;
  const std::string& address() const override { return address_; }

  // The process at `address` is one of `job`, and has not called this one yet: what is sent to it
  // carries that job's token, and only that job's authority is believed there.
  void Introduce(const std::string& address, const std::string& job);

  // Links towards peers: they are known until they are found down, and no longer.
  size_t links() const;

  // Hands over what is queued to peers that take it, then ends all links and calls by force. Done
  // after little more than the deadline whatever others do; afterwards the handler is not called.
  // Not from inside the handler.
  void Shutdown(int64_t deadline_us);

 private:
  struct Server;
  GrpcTransport();

  std::string address_;
  std::shared_ptr<internal::LinkCore> core_;
  std::unique_ptr<Server> server_;
};

}  // namespace sluice
