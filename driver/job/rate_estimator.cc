#include "driver/job/rate_estimator.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

constexpr double kProportional = 1.0;  // of the difference between rate and capacity
constexpr double kIntegral = 0.2;      // of the rate at which what waits would be gone in a batch
constexpr double kLeastOfCapacity = 0.05;  // while something waits; so that there is a measure
constexpr double kMostGrowth = 4.0;        // from batch to batch
constexpr double kRateMin = 1.0;
constexpr double kRateMax = 1e9;
constexpr double kForget = 0.9;            // of what former batches weigh, at each one
constexpr double kSpreadMin = 0.05;        // of the records of batches, for a line through them
constexpr double kOffTheLine = 1.6;
constexpr double kOtherSize = 0.2;
constexpr double kFixedOfBatchMax = 0.95;
constexpr double kFixedOfInterval = 0.8;   // beyond it fewer records do not help

}  // namespace

std::optional<double> RateEstimator::Step(const RateEvent& event) {
  std::visit([this](const auto& e) { On(e); }, event);
  return rate_ > 0 ? std::optional(rate_) : std::nullopt;
}

void BatchCost::Weigh(double records, double us) {
  weight_ += 1;
  records_ += records;
  us_ += us;
  squares_ += records * records;
  products_ += records * us;
}

void BatchCost::Add(double records, double us) {
  const double expected = fixed_us_ + record_us_ * records;
  const bool off = us > kOffTheLine * expected || expected > kOffTheLine * us;
  for (double* sum : {&weight_, &records_, &us_, &squares_, &products_}) {
    *sum *= off ? 0 : kForget;
  }
  const double change = std::abs(records - last_records_);
  if (off && change > kOtherSize * std::max(records, last_records_)) {
    Weigh(last_records_, last_us_);
  }
  Weigh(records, us);
  last_records_ = records;
  last_us_ = us;
  const double mean = records_ / weight_, mean_us = us_ / weight_;
  const double variance = squares_ / weight_ - mean * mean;
  if (records_ < 1) {
    fixed_us_ = mean_us;
    return;
  }
  // Where batches are all alike the line is turned about what is known of its beginning.
  if (variance > kSpreadMin * kSpreadMin * mean * mean) {
    record_us_ = std::max((products_ / weight_ - mean * mean_us) / variance, 0.0);
    fixed_us_ = std::clamp(mean_us - record_us_ * mean, 0.0, mean_us);
  }
  fixed_us_ = std::min(fixed_us_, kFixedOfBatchMax * mean_us);
  record_us_ = (mean_us - fixed_us_) / mean;
}

void RateEstimator::On(const BatchMeasured& batch) {
  const auto records = static_cast<double>(batch.records);
  const auto processing_us = static_cast<double>(batch.processing_us);
  auto waiting_us = static_cast<double>(batch.waiting_us);
  const bool measured = processing_us > 0;
  if (measured) cost_.Add(records, processing_us);
  const double fixed_us = std::min(cost_.FixedUs(), kFixedOfBatchMax * processing_us);
  const double records_us = processing_us - fixed_us;
  // Then batches wait whatever they hold, and later ones take the input of several intervals.
  const bool dear = fixed_us > kFixedOfInterval * interval_us_;
  if (dear) waiting_us = 0;
  const bool late = (dear ? records_us : processing_us) > interval_us_ || waiting_us > interval_us_;
  if (batch.records == 0 || !measured) {
    // Receivers may owe so much that they take nothing for long: only more shows what more takes.
    const double most = proven_ > 0 ? std::max(proven_, rate_) : kRateMax;
    if (!late) rate_ = std::min(rate_ * kMostGrowth, most);
    return;
  }
  const double managed = records * 1e6 / records_us * (dear ? 1 : 1 - fixed_us / interval_us_);
  if (rate_ == 0 && !late) return;
  const double rate = rate_ == 0 ? managed : rate_;
  const double behind = waiting_us / interval_us_ * managed;
  double next = rate - kProportional * (rate - managed) - kIntegral * behind;
  next = std::max(next, kLeastOfCapacity * managed);
  if (!late) next = std::clamp(next, rate, rate * kMostGrowth);
  rate_ = std::clamp(next, kRateMin, kRateMax);
  if (proven_ > 0) proven_ = std::max(proven_, rate_);
}

void RateEstimator::On(const BatchesStuck& stuck) {
  if (rate_ == 0 && stuck.intake <= 0) return;
  rate_ = std::max((rate_ == 0 ? stuck.intake : rate_) / 2, kRateMin);
}

}  // namespace sluice
