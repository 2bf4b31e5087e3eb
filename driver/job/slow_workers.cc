#include "driver/job/slow_workers.h"

#include <algorithm>
#include <cstddef>

namespace sluice {
namespace {

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// A time too short to be measured is not nothing.
double Busy(const WorkerLoad& load) {
  return static_cast<double>(std::max<int64_t>(1, load.busy_us));
}

double PerRecord(const WorkerLoad& load) {
  return Busy(load) / static_cast<double>(load.records);
}

}  // namespace

double SlowWorkers::TimesOthers(const std::string& id,
                                const std::map<std::string, WorkerLoad>& loads) const {
  const WorkerLoad& own = loads.at(id);
  const double enough = rule_.of_interval * static_cast<double>(interval_us_);
  if (Busy(own) < enough) return 0;
  std::vector<double> busy, per_record;
  for (const auto& [other, load] : loads) {
    if (other == id || load.records == 0) continue;  // nothing to compare with
    busy.push_back(Busy(load));
    per_record.push_back(PerRecord(load));
  }
  if (busy.size() + 1 < rule_.workers) return 0;
  return std::min(Busy(own) / Median(std::move(busy)),
                  PerRecord(own) / Median(std::move(per_record)));
}

std::vector<SlowWorker> SlowWorkers::OnBatch(int64_t batch_ms,
                                             const std::map<std::string, WorkerLoad>& loads) {
  std::erase_if(rows_, [&](const auto& row) { return !loads.contains(row.first); });
  std::vector<SlowWorker> fresh;
  for (const auto& [id, load] : loads) {
    if (load.records == 0) continue;
    Row& row = rows_[id];
    const double times = TimesOthers(id, loads);
    // Copies cut its time short: to have lost to one says as much as the time would have said.
    const bool held_up = Busy(load) >= rule_.of_interval * static_cast<double>(interval_us_);
    const bool slow = times > rule_.times || (load.outrun && held_up);
    row.slow.push_back(slow);
    if (row.slow.size() > rule_.last) row.slow.pop_front();
    const auto slow_ones = std::count(row.slow.begin(), row.slow.end(), true);
    if (slow && slow_ones == 1) row.worker.since_batch_ms = batch_ms;
    if (slow) row.worker.times = times;
    row.worker.worker_id = id;
    const bool was = row.outlier;
    row.outlier = slow_ones >= static_cast<int64_t>(rule_.slow_of_last);
    if (row.outlier && !was) fresh.push_back(row.worker);
  }
  return fresh;
}

std::vector<SlowWorker> SlowWorkers::outliers() const {
  std::vector<SlowWorker> all;
  for (const auto& [id, row] : rows_) {
    if (row.outlier) all.push_back(row.worker);
  }
  return all;
}

}  // namespace sluice
