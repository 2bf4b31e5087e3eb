// The end of a job, or of one of its lives, asked for while things still go wrong: the driver
// daemon's part of it.
#include <algorithm>

#include "tests/sim/cluster.h"

namespace sluice::sim {
namespace {

constexpr int64_t kAgainUs = 200'000;

}  // namespace

void Cluster::Drain() {
  if (cancelling_) return Later(kAgainUs, [this] { Drain(); });
  site_->world.Count("drain: asked for");
  site_->world.Trace("chaos", "the job is drained");
  draining_ = true;
  StopProducing();
}

// Told again and again: the job driver may be another one by then.
void Cluster::TellStop() {
  if ((!draining_ && !cancelling_) || ended_) return;
  proto::Envelope message;
  message.mutable_job_stop()->set_drain(!cancelling_);
  message.mutable_job_stop()->set_deadline_ms(kDrainDeadlineMs);
  for (const std::string& driver : registered_) site_->world.Send(address_, driver, message);
}

// What a job that has ended has left with a worker that was away then.
void Cluster::TellOver(const std::string& worker, const proto::WorkerHeartbeat& heartbeat) {
  if (!site_->drained) return;
  proto::Envelope message;
  proto::JobsOver& over = *message.mutable_jobs_over();
  for (const auto& executor : heartbeat.executors()) {
    over.add_job_instances(executor.job_instance());
  }
  *over.mutable_finished() = heartbeat.silent_jobs();
  if (over.job_instances_size() + over.finished_size() == 0) return;
  site_->world.Send(address_, worker, std::move(message));
}

void Cluster::Drained(const DriverProcess& driver) {
  site_->world.Count("drain: ended in order");
  const JobState& state = driver.core()->state();
  site_->drained = ended_ = true;
  if (!state.waiting_blocks().empty()) site_->Break("drain: blocks wait for a batch");
  if (state.last_planned_ms() != state.last_decided_ms() ||
      site_->log.last_sealed_ms() != state.last_decided_ms()) {
    site_->Break("drain: batches are planned up to " + std::to_string(state.last_planned_ms()) +
                 ", decided up to " + std::to_string(state.last_decided_ms()) +
                 ", in a checkpoint up to " + std::to_string(site_->log.last_sealed_ms()));
  }
}

void Cluster::Cancel() {
  site_->world.Count("cancel: asked for");
  site_->world.Trace("chaos", "the job is cancelled");
  cancelling_ = cancelled_ = true;
}

// Somebody takes it up again.
void Cluster::Cancelled(const DriverProcess& driver) {
  site_->world.Count("cancel: ended in order");
  cancelling_ = false;
  const JobState& state = driver.core()->state();
  for (const auto& [batch_ms, batch] : state.decided()) {
    if (batch.unpublished.empty()) continue;
    site_->Break("cancel: batch " + std::to_string(batch_ms) + " is decided and not published");
  }
  const auto& nodes = site_->graph->nodes();
  const bool stateful = std::any_of(nodes.begin(), nodes.end(), [](const Node& node) {
    return !node.state_name.empty();
  });
  const bool sealed = !stateful || site_->log.last_sealed_ms() == state.last_decided_ms();
  if (!sealed && !driver.cancelled_unsealed()) {
    site_->Break("cancel: decided up to " + std::to_string(state.last_decided_ms()) +
                 ", in a checkpoint up to " + std::to_string(site_->log.last_sealed_ms()));
  }
  Later(chaos_->Between(50'000, 1'000'000), [this] { LaunchDriver(); });
}

std::string Cluster::ExecutorsLeft() const {
  if (!site_->drained) return "";
  std::string left;
  for (const Slot& slot : workers_) {
    if (slot.process == nullptr || StaysAway(slot.host)) continue;
    for (const bool receivers : {false, true}) {
      for (const ExecutorKey& key : slot.process->executors(receivers)) {
        left += " " + std::to_string(key.executor) + " on " + slot.worker_id;
      }
    }
  }
  return left;
}

}  // namespace sluice::sim
