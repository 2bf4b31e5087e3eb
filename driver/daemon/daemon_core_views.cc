// What the driver daemon's core shows: jobs, streams, binaries and the table that is kept.
#include <algorithm>
#include <iterator>

#include "driver/daemon/daemon_core.h"

namespace sluice::daemon {

proto::JobInfo DaemonCore::InfoOf(const JobLife& job) const {
  proto::JobInfo info = job.Info();
  for (const auto& [worker, slots] : job.record().slots()) {
    auto known = workers_.workers().find(worker);
    if (known == workers_.workers().end() || !known->second.live) continue;
    info.set_slots(info.slots() + slots);
  }
  return info;
}

std::vector<proto::JobInfo> DaemonCore::Jobs() const {
  std::vector<proto::JobInfo> infos;
  for (const auto& job : jobs_) infos.push_back(InfoOf(*job));
  return infos;
}

std::optional<proto::JobInfo> DaemonCore::Job(const std::string& name) const {
  const JobLife* job = Find(name);
  if (job == nullptr) return std::nullopt;
  return InfoOf(*job);
}

std::optional<proto::JobSpec> DaemonCore::SpecOf(const std::string& name) const {
  const JobLife* job = Find(name);
  if (job == nullptr) return std::nullopt;
  return job->record().spec();
}

proto::FindStreamReply DaemonCore::FindStream(const std::string& job_name,
                                              const std::string& stream) const {
  proto::FindStreamReply reply;
  const JobLife* job = Find(job_name);
  if (job == nullptr || job->ended()) {
    reply.mutable_outcome()->set_exit_code(1);
    reply.mutable_outcome()->set_message(
        job == nullptr ? "no job of this name: " + job_name
                       : "the job has ended (" + job->record().status().state() + "): " + job_name);
    return reply;
  }
  const proto::JobStatus& status = job->record().status();
  for (const proto::ReceiverPlace& place : status.receivers()) {
    if (place.stream() == stream && !place.address().empty()) {
      reply.set_push_address(place.address());
    }
  }
  // A receiver that moves is up nowhere for a while; a job that has just begun has not told yet.
  const auto& streams = status.streams();
  if (!streams.empty() && std::find(streams.begin(), streams.end(), stream) == streams.end()) {
    reply.mutable_outcome()->set_exit_code(1);
    reply.mutable_outcome()->set_message("the job has no stream of this name: " + stream);
  }
  return reply;
}

std::vector<std::string> DaemonCore::CheckpointsLeft() const {
  std::vector<std::string> urls;
  for (const auto& job : jobs_) {
    const std::string& url = job->record().spec().checkpoint();
    if (job->ended() && !url.empty()) urls.push_back(url);
  }
  return urls;
}

std::set<std::string> DaemonCore::BinariesInUse() const {
  std::set<std::string> digests;
  for (const auto& job : jobs_) {
    const proto::JobSpec& spec = job->record().spec();
    const bool over = spec.checkpoint().empty() || checkpoints_gone_.contains(spec.checkpoint());
    if (job->ended() && over) continue;
    digests.insert(spec.binary_digest());
    for (const auto& file : spec.files()) digests.insert(file.digest());
    const auto& former = job->record().status().binaries();
    digests.insert(former.begin(), former.end());
  }
  return digests;
}

// It has finished, or its log is another job's now: the next submission of its name had no
// checkpoint either, or the same one, and began anew.
bool DaemonCore::NobodyTakesUp(uint64_t instance) const {
  const auto over = [&](const Former& former) {
    const auto next = std::find_if(jobs_.begin(), jobs_.end(), [&](const auto& job) {
      return job->name() == former.name;
    });
    if (former.instance != instance || next == jobs_.end()) return false;
    const proto::JobRecord& record = (*next)->record();
    return record.spec().checkpoint() == former.checkpoint && record.job_instance() != 0 &&
           record.job_instance() != instance;
  };
  return std::any_of(formers_.begin(), formers_.end(), over) ||
         std::any_of(jobs_.begin(), jobs_.end(),
                     [&](const auto& job) { return job->HasFinished(instance); });
}

// The last to end is always kept: whoever waits for it has not seen it yet.
void DaemonCore::ForgetEnded() {
  const auto running = std::stable_partition(jobs_.begin(), jobs_.end(),
                                             [](const auto& job) { return job->ended(); });
  auto oldest = running;
  size_t bytes = 0;
  while (oldest != jobs_.begin() && running - oldest < kEndedJobsMax) {
    bytes += (*std::prev(oldest))->record().ByteSizeLong();
    if (bytes > kEndedBytesMax && oldest != running) break;
    --oldest;
  }
  for (auto job = jobs_.begin(); job != oldest; ++job) out_.push_back(ForgetRuns{(*job)->name()});
  jobs_.erase(jobs_.begin(), oldest);
}

proto::JobTable DaemonCore::Table() const {
  proto::JobTable table;
  for (const auto& job : jobs_) *table.add_jobs() = job->record();
  if (leadership_.epoch == 0) return table;
  for (const auto& [id, worker] : workers_.workers()) {
    if (worker.live) table.add_workers(worker.link);
  }
  for (const auto& [address, job] : untold_) {
    if (job.empty()) table.add_workers(address);  // a job driver's is in its record
  }
  return table;
}

}  // namespace sluice::daemon
