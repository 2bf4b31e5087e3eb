// The pages of a job that runs in this process (--http), in the form of the driver daemon's:
// health, Prometheus metrics, and as JSON the one job and no workers.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "common/host_port.h"
#include "common/http.h"
#include "sluice/local_job.h"

namespace sluice {
namespace proto {
class JobList;
}  // namespace proto

// Listens from Start on; ready once there is a job to show. Thread-safe.
class LocalPages {
 public:
  // Errors of HttpServer::Start.
  static absl::StatusOr<std::unique_ptr<LocalPages>> Start(const HostPort& where);

  // `job` outlives the pages. `checkpoint`: its URL, or empty.
  void Show(LocalJob* job, uint32_t slots, const std::string& checkpoint);
  const std::string& address() const { return server_->address(); }

 private:
  bool ready();
  // The job as a list of one; empty before there is one.
  proto::JobList Jobs();

  const int64_t started_ms_ = RealClock().WallMs();
  std::mutex mutex_;
  LocalJob* job_ = nullptr;
  uint32_t slots_ = 0;
  std::string checkpoint_;
  std::unique_ptr<HttpServer> server_;  // ends first: its handlers use the others
};

}  // namespace sluice
