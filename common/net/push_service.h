// The gRPC service through which producers push numbered records into a stream. A record is
// acknowledged when it is replicated and logged; what was sent before is dropped.
//
// Many requests of one producer are in flight; memory is bounded by not reading further. The
// reply says the last number up to which everything is safe, and the first reply, sent before
// anything is stored, says where the producer stands.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/record_batch.h"

namespace grpc {
class Service;
}

namespace sluice {

// What stores pushed records: a receiver executor's host. Thread-safe.
class PushBackend {
 public:
  virtual ~PushBackend() = default;
  // The stream of that name, if records may be pushed into it here.
  virtual std::optional<uint32_t> PushStream(const std::string& name) const = 0;
  // `records` stay where they are until `done`, which is called once, under a lock: it must only
  // take a note. Nothing: not stored. Returns an id for Cancel.
  using Done = std::function<void(std::optional<int64_t> last)>;
  virtual uint64_t StoreLater(uint32_t stream, const BatchView& records,
                              const std::string& producer, int64_t first, Done done) = 0;
  // Afterwards `done` is not called and the records may go.
  virtual void Cancel(uint32_t stream, uint64_t id) = 0;
  // Waits for the job driver. kResourceExhausted: it takes no new producer, and why; any other
  // error: the backend is stopping, or nobody waits any more, which is asked from time to time.
  virtual absl::StatusOr<int64_t> LastLogged(uint32_t stream, const std::string& producer,
                                             const std::function<bool()>& gone) = 0;
  // What it does not store now, its successor will.
  virtual bool Stopping() = 0;
};

// Thread-safe. Given to the transport before there is a host: until then calls are refused as
// unavailable.
class PushService {
 public:
  static constexpr uint64_t kCallBytesMax = 16 << 20;    // in flight, per call
  static constexpr size_t kProducerBytesMax = 256;       // of a name
  static constexpr uint64_t kTotalBytesMax = 128 << 20;  // of all calls

  PushService();
  ~PushService();  // no call may be running: Stop, then end the transport
  grpc::Service* service();

  // The host outlives the service's Stop.
  void Serve(PushBackend* host);
  // Ends all calls; waits for them. What is not acknowledged will be sent again.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
