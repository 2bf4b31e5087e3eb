// The gRPC service through which producers push numbered records into a stream. A record is
// acknowledged when it is replicated and logged; what was sent before is dropped.
//
// Many requests of one producer are in flight; memory is bounded by not reading further. The
// reply says the last number up to which everything is safe, and the first reply, sent before
// anything is stored, says where the producer stands.
#pragma once

#include <cstdint>
#include <memory>

namespace grpc {
class Service;
}

namespace sluice {

class ReceiverHost;

// Thread-safe. Given to the transport before there is a host: until then calls are refused as
// unavailable.
class PushService {
 public:
  static constexpr uint64_t kCallBytesMax = 16 << 20;    // in flight, per call
  static constexpr uint64_t kTotalBytesMax = 128 << 20;  // of all calls

  PushService();
  ~PushService();  // no call may be running: Stop, then end the transport
  grpc::Service* service();

  // The host outlives the service's Stop.
  void Serve(ReceiverHost* host);
  // Ends all calls; waits for them. What is not acknowledged will be sent again.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
