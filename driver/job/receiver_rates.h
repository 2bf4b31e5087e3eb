// Tells receivers how many records per second they may take (rate_estimator.h), one estimate for
// each stream that has a receiver.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "common/plan/stages.h"
#include "driver/job/commands.h"
#include "driver/job/job_options.h"
#include "driver/job/membership.h"
#include "driver/job/rate_estimator.h"

namespace sluice {

// Not thread-safe. Without `backpressure` there is no bound.
class ReceiverRates {
 public:
  ReceiverRates(const JobDriverOptions& options, const LineageGraph& graph,
                const Membership* members);

  // A batch was frozen, `span_ms` after the one before it.
  void OnPlanned(MonotonicTime now, const StagePlan& plan, const proto::Composition& composition,
                 int64_t span_ms);
  // The batch is decided now, and was granted then.
  void OnDecided(MonotonicTime now, int64_t batch_ms, MonotonicTime granted);
  // `due`: since when the oldest batch that is neither decided nor published could have been
  // frozen, or is; 0: there is none.
  void Advance(MonotonicTime now, MonotonicTime due, uint64_t job_instance,
               std::vector<DriverCommand>& out);
  // 0: no bound.
  double RateOf(uint32_t stream) const;
  // Since when the oldest batch that is not decided is frozen; 0: none.
  MonotonicTime oldest() const {
    return batches_.empty() ? 0 : batches_.begin()->second.planned;
  }

 private:
  struct Stream {
    RateEstimator estimator;
    double rate = 0;    // 0: no bound
    double told = 0;
    double intake = 0;  // of the last batch that was frozen
  };
  struct Batch {
    MonotonicTime planned = 0;
    std::map<uint32_t, uint64_t> records;  // by stream
  };
  struct Decided {
    MonotonicTime at = 0;
    std::map<uint32_t, uint64_t> records;
  };
  void Tell(MonotonicTime now, uint64_t job_instance, std::vector<DriverCommand>& out);

  const bool on_;
  const MonotonicTime interval_us_;
  const Membership* const members_;
  std::map<uint32_t, Stream> streams_;
  std::map<int64_t, Batch> batches_;  // not decided
  std::deque<Decided> done_;          // decided since the latest of them was granted
  MonotonicTime decided_ = 0;         // when the last one was
  MonotonicTime stuck_ = 0;           // when it was last seen that nothing goes on
  MonotonicTime told_ = 0;
};

}  // namespace sluice
