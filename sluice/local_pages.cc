#include "sluice/local_pages.h"

#include <unistd.h>

#include "common/status.h"
#include "driver/daemon/status_json.h"
#include "proto/client.pb.h"

namespace sluice {

absl::StatusOr<std::unique_ptr<LocalPages>> LocalPages::Start(const HostPort& where) {
  auto pages = std::make_unique<LocalPages>();
  LocalPages* const shown = pages.get();
  std::vector<HttpRoute> routes;
  AddHealthRoutes(&routes, [shown] { return shown->ready(); }, [shown] { return shown->ready(); });
  routes.emplace_back("/metrics", HttpAccess::kClient, [shown](const HttpRequest&) {
    return HttpReply{200, daemon::kMetricsType, daemon::MetricsText(shown->Jobs(), {})};
  });
  routes.emplace_back("/api/v1/jobs", HttpAccess::kClient, [shown](const HttpRequest&) {
    return HttpReply{200, "application/json", daemon::JobsJson(shown->Jobs())};
  });
  routes.emplace_back("/api/v1/workers", HttpAccess::kClient, [](const HttpRequest&) {
    return HttpReply{200, "application/json", daemon::WorkersJson({})};
  });
  HttpOptions options;
  options.host = where.host;
  options.port = where.port;
  ASSIGN_OR_RETURN(pages->server_, HttpServer::Start(options, std::move(routes)));
  return pages;
}

void LocalPages::Show(LocalJob* job, uint32_t slots, const std::string& checkpoint) {
  const std::lock_guard lock(mutex_);
  job_ = job;
  slots_ = slots;
  checkpoint_ = checkpoint;
}

bool LocalPages::ready() {
  const std::lock_guard lock(mutex_);
  return job_ != nullptr;
}

proto::JobList LocalPages::Jobs() {
  const std::lock_guard lock(mutex_);
  proto::JobList jobs;
  if (job_ == nullptr) return jobs;
  proto::JobInfo& job = *jobs.add_jobs();
  *job.mutable_status() = job_->Status();
  job.set_submitted_ms(started_ms_);
  job.set_driver_pid(getpid());
  job.set_slots(slots_);
  job.set_reported(true);
  job.set_checkpoint(checkpoint_);
  return jobs;
}

}  // namespace sluice
