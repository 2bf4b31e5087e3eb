// Tasks that wait for a slot, and what they are expected to cost.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "worker/executor/executor_events.h"
#include "worker/executor/state_store.h"

namespace sluice {

// One RunTasks on its way through the slots.
struct StageRun {
  enum class At : uint8_t { kBag, kSlot, kEnded, kLeft };
  struct Place {
    At at = At::kBag;
    uint32_t slot = 0;  // of a task that is in one
  };
  StageRun(RunTasks tasks, std::shared_ptr<StateStore> with);
  bool Runs(const LeaveTask& command) const;
  // A slot is about to run a task. False: it was left.
  bool Begin(uint32_t index, uint32_t slot);
  // It has. False: it was left meanwhile, and its outcome is nobody's. `ended` is set by the last.
  bool End(uint32_t index, std::variant<TaskResult, FailedTask> outcome,
           std::optional<TasksEnded>* ended);
  // Nobody needs it any more. None: it has ended, or was left before. `in_slot` is called before
  // the slot that it is in can go on to another task.
  std::optional<Place> Leave(uint32_t index, const std::function<void(uint32_t slot)>& in_slot,
                             std::optional<TasksEnded>* ended);

  const RunTasks run;
  const std::shared_ptr<StateStore> state;

 private:
  std::mutex mutex_;
  TasksEnded ended_;           // all guarded by mutex_
  uint32_t remaining_ = 0;
  std::vector<Place> places_;  // by index of run.tasks
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
