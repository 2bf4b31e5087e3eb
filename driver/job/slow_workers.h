// Finds workers that are alive and hold every batch up (docs/slow_nodes.md).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace sluice {

// What one worker did for one batch.
struct WorkerLoad {
  int64_t busy_us = 0;   // its tasks ran so long, waiting for others left out
  uint64_t records = 0;  // that they read and folded
  bool outrun = false;   // a copy of one, begun later elsewhere, ended before it
};

struct SlowWorker {
  std::string worker_id;
  double times = 0;         // as slow as the median of the others, in the last batch
  int64_t since_batch_ms = 0;
};

struct SlowWorkerRule {
  double times = 3;            // the others' median, by time and by time per record
  double of_interval = 0.25;
  uint32_t slow_of_last = 16;  // so many of the last batches with records
  uint32_t last = 20;
  size_t workers = 3;          // at least so many have records in a batch
};

// Pure; not thread-safe.
class SlowWorkers {
 public:
  explicit SlowWorkers(int64_t batch_interval_ms, SlowWorkerRule rule = {})
      : interval_us_(batch_interval_ms * 1000), rule_(rule) {}

  // A decided batch, by worker id. Gives those that are outliers from this batch on. Batches
  // without records judge nobody.
  std::vector<SlowWorker> OnBatch(int64_t batch_ms, const std::map<std::string, WorkerLoad>& loads);

  // The outliers now, by worker id.
  std::vector<SlowWorker> outliers() const;

 private:
  struct Row {
    std::deque<bool> slow;  // of the last batches, this one at the back
    bool outlier = false;
    SlowWorker worker;
  };
  // How many times as slow as the median of the others; below the rule's: not slow.
  double TimesOthers(const std::string& id, const std::map<std::string, WorkerLoad>& loads) const;

  const int64_t interval_us_;
  const SlowWorkerRule rule_;
  std::map<std::string, Row> rows_;
};

}  // namespace sluice
