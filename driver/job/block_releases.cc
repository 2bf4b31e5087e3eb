#include "driver/job/block_releases.h"

#include "common/fault_point.h"

namespace sluice {
namespace {

constexpr size_t kNamesMax = 4096;  // of one message
constexpr MonotonicTime kAgainUs = 500'000;

}  // namespace

void BlockReleases::OnTaken(const proto::LeaseBeat& beat) {
  const auto it = of_.find(beat.worker_id());
  if (it == of_.end() || beat.epoch() != epoch_ || it->second.under_way.empty() ||
      beat.releases() != it->second.number) {
    return;
  }
  it->second.under_way.clear();
  if (it->second.waiting.empty()) of_.erase(it);
}

void BlockReleases::TakeDue(OfWorker& releases) {
  auto& waiting = releases.waiting;
  while (!waiting.empty() && log_->IsDurable(waiting.front().after) &&
         releases.under_way.size() < kNamesMax) {
    releases.under_way.push_back(waiting.front().block);
    waiting.pop_front();
  }
}

void BlockReleases::Advance(MonotonicTime now, std::vector<DriverCommand>& out) {
  for (auto& [worker, releases] : of_) {
    const bool fresh = releases.under_way.empty();
    if (!members_->WorkerServes(worker) || (!fresh && now - releases.sent < kAgainUs)) continue;
    if (fresh) {
      if (Fires(FaultPoint::kReleaseLater)) continue;
      TakeDue(releases);
      if (releases.under_way.empty()) continue;
      releases.number = ++last_number_;
    }
    releases.sent = now;
    Send send{members_->AddressOf(worker), {}};
    auto& message = *send.message.mutable_release_blocks();
    message.set_job_instance(state_->job().job_instance());
    message.set_epoch(epoch_);
    message.set_number(releases.number);
    for (const BlockId& block : releases.under_way) {
      *message.add_names() = NameOf(state_->job().job_instance(), block);
    }
    out.push_back(std::move(send));
  }
}

}  // namespace sluice
