// Tasks that wait for a slot, and what they are expected to cost.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "worker/executor/executor_events.h"
#include "worker/executor/state_store.h"

namespace sluice {

// One RunTasks on its way through the slots.
struct StageRun {
  RunTasks run;
  std::shared_ptr<StateStore> state;
  std::mutex mutex;
  TasksEnded ended;      // guarded by mutex
  uint32_t remaining = 0;  // guarded by mutex
};

struct BagTask {
  std::shared_ptr<StageRun> stage;
  uint32_t index = 0;       // of stage->run.tasks
  uint64_t input_bytes = 0;
  uint64_t expected_us = 0;
};

// Guarded by its owner's lock.
class TaskBag {
 public:
  void SetStages(size_t stages) { cost_.assign(stages, Cost{}); }
  // Older batches first; in a batch, later stages first, as they end it.
  void Add(std::shared_ptr<StageRun> stage);
  BagTask Take();
  void Clear();
  bool empty() const { return tasks_.empty(); }
  size_t size() const { return tasks_.size(); }
  uint64_t expected_us() const { return expected_us_; }
  // A task has taken this long.
  void Learn(StageId stage, uint64_t input_bytes, uint64_t took_us);

 private:
  struct Cost {
    double us_per_byte = 0.01;
    double last_us = 0;
  };
  uint64_t Expect(StageId stage, uint64_t input_bytes) const;

  std::deque<BagTask> tasks_;
  uint64_t expected_us_ = 0;
  std::vector<Cost> cost_;
};

}  // namespace sluice
