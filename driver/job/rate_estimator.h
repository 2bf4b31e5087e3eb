// How many records per second a receiver may take, so that batches end within their interval.
//
// A controller in the form that Spark Streaming's users know (proportional and integral terms over
// measured batches), with these differences: a batch that was not late never lowers the rate, for
// a small batch says little of what a large one would take; what a batch costs whatever it holds is
// told from what its records cost, for fewer records would not make it cheaper; there is no fixed
// floor; and while nothing is decided at all the rate is halved at every interval instead of
// standing still.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "common/clock.h"

namespace sluice {

// A batch was decided: how many records it had of this receiver, how long it took, and how long it
// had waited until it was the oldest. Of batches that ran beside each other: what one of them took
// on average from the grant of the last of them.
struct BatchMeasured {
  uint64_t records = 0;
  MonotonicTime processing_us = 0;
  MonotonicTime waiting_us = 0;
};
// For one more interval the oldest batch has not been decided or published, and records of this
// receiver came at this rate.
struct BatchesStuck {
  double intake = 0;  // records/s
};
using RateEvent = std::variant<BatchMeasured, BatchesStuck>;

// What a batch takes, as a straight line over its records. Old batches count less and less. One
// that is far off their line begins another: of its own where it is as large as the one before it
// (then the job has become faster or slower), else through these two.
class BatchCost {
 public:
  void Add(double records, double us);
  // Of a batch without records; 0 while nothing is known.
  double FixedUs() const { return fixed_us_; }

 private:
  void Weigh(double records, double us);
  double last_records_ = 0, last_us_ = 0;
  double weight_ = 0;
  double records_ = 0, us_ = 0;              // sums over batches,
  double squares_ = 0, products_ = 0;        // of records, and of records and us
  double fixed_us_ = 0, record_us_ = 0;      // the line
};

// Not thread-safe.
class RateEstimator {
 public:
  // `initial_rate`: the rate of the first batch, from which batches that are in time let it grow;
  // 0: no bound until a batch is late.
  RateEstimator(MonotonicTime interval_us, double initial_rate)
      : interval_us_(static_cast<double>(interval_us)), rate_(initial_rate),
        proven_(initial_rate) {}

  // The rate from now on, in records/s; nothing: no bound.
  std::optional<double> Step(const RateEvent& event);

 private:
  void On(const BatchMeasured& batch);
  void On(const BatchesStuck& stuck);

  const double interval_us_;
  BatchCost cost_;
  double rate_;    // 0: no bound
  double proven_;  // the highest that records were measured at, or the initial one; 0: any
};

}  // namespace sluice
