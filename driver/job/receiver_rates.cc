#include "driver/job/receiver_rates.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

constexpr MonotonicTime kTellAgainUs = 1'000'000;  // a receiver may be new
constexpr double kTellChange = 0.01;
constexpr MonotonicTime kPatienceMinUs = 500'000;
constexpr int kPatienceBatches = 4;
constexpr MonotonicTime kStuckAgainMinUs = 100'000;

}  // namespace

ReceiverRates::ReceiverRates(const JobDriverOptions& options, const LineageGraph& graph,
                             const Membership* members)
    : on_(options.backpressure),
      interval_us_(options.batch_interval_ms * 1000),
      members_(members) {
  const double initial = on_ ? options.initial_rate : 0;
  for (const Node& node : graph.nodes()) {
    const bool receives = node.source.kind == SourceKind::kReceiver ||
                          node.source.kind == SourceKind::kPush;
    if (node.kind != NodeKind::kSource || !receives) continue;
    streams_.emplace(node.id, Stream{RateEstimator(interval_us_, initial), initial, initial, 0});
  }
}

void ReceiverRates::OnPlanned(MonotonicTime now, const StagePlan& plan,
                              const proto::Composition& composition, int64_t span_ms) {
  Batch& batch = batches_[composition.batch_ms()];
  batch.planned = now;
  for (const auto& source : composition.sources()) {
    const auto stream = streams_.find(plan.stages()[source.stage()].root);
    if (stream == streams_.end()) continue;
    uint64_t& records = batch.records[stream->first];
    for (const auto& task : source.tasks()) {
      for (const auto& piece : task.pieces()) records += piece.block().records();
    }
    stream->second.intake =
        static_cast<double>(records) * 1e3 / static_cast<double>(std::max<int64_t>(span_ms, 1));
  }
}

void ReceiverRates::OnDecided(MonotonicTime now, int64_t batch_ms, MonotonicTime granted) {
  const auto found = batches_.find(batch_ms);
  if (found != batches_.end() && on_) {
    Batch& batch = found->second;
    // Batches in flight run beside each other and often end together: what was decided since this
    // one was granted is what was managed meanwhile, by as many batches.
    const MonotonicTime began = std::max(granted, batch.planned);
    const MonotonicTime waiting = std::max(began, decided_) - batch.planned;
    done_.push_back({now, std::move(batch.records)});
    while (done_.size() > 1 && done_.front().at <= began) done_.pop_front();
    const auto batches = static_cast<int64_t>(done_.size());
    for (auto& [id, stream] : streams_) {
      uint64_t records = 0;
      for (const Decided& done : done_) {
        const auto of_stream = done.records.find(id);
        if (of_stream != done.records.end()) records += of_stream->second;
      }
      const BatchMeasured measured{records / static_cast<uint64_t>(batches),
                                   (now - began) / batches, waiting};
      stream.rate = stream.estimator.Step(measured).value_or(0);
    }
  }
  batches_.erase(batches_.begin(), batches_.upper_bound(batch_ms));
  decided_ = now;
}

void ReceiverRates::Advance(MonotonicTime now, MonotonicTime due, uint64_t job_instance,
                            std::vector<DriverCommand>& out) {
  const MonotonicTime patience = std::max(kPatienceBatches * interval_us_, kPatienceMinUs);
  const MonotonicTime again = std::max(interval_us_, kStuckAgainMinUs);
  const bool stuck = on_ && due != 0 && now - std::max(due, decided_) > patience;
  if (stuck && now - stuck_ >= again) {
    stuck_ = now;
    for (auto& [id, stream] : streams_) {
      stream.rate = stream.estimator.Step(BatchesStuck{stream.intake}).value_or(0);
    }
  }
  const bool changed = std::any_of(streams_.begin(), streams_.end(), [](const auto& entry) {
    const Stream& stream = entry.second;
    return std::abs(stream.rate - stream.told) > kTellChange * stream.told;
  });
  // Without a bound as well: receivers outlive the driver that told them one.
  if (changed || (!streams_.empty() && now - told_ >= kTellAgainUs)) Tell(now, job_instance, out);
}

void ReceiverRates::Tell(MonotonicTime now, uint64_t job_instance,
                         std::vector<DriverCommand>& out) {
  told_ = now;
  proto::Envelope message;
  auto& rates = *message.mutable_receiver_rates();
  rates.set_job_instance(job_instance);
  for (auto& [id, stream] : streams_) {
    stream.told = stream.rate;
    auto& rate = *rates.add_rates();
    rate.set_stream(id);
    rate.set_records_per_s(stream.rate);
  }
  for (const std::string& worker : members_->ReceiverWorkers()) {
    out.push_back(Send{members_->AddressOf(worker), message});
  }
}

double ReceiverRates::RateOf(uint32_t stream) const {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? 0 : found->second.rate;
}

}  // namespace sluice
