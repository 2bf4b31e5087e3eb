#include "worker/executor/task_bag.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

uint64_t InputBytes(const TaskWork& work) {
  uint64_t bytes = 0;
  for (const auto* share : work.shares) bytes += share->batch().size();
  if (work.input == nullptr) return bytes;
  for (const auto& piece : work.input->pieces()) {
    if (piece.has_block()) bytes += piece.block().bytes();
    if (piece.has_file()) bytes += piece.file().end() - piece.file().begin();
    if (piece.has_inlined()) bytes += piece.inlined().batch().size();
  }
  return bytes;
}

bool Before(const BagTask& a, const BagTask& b) {
  const RunTasks& left = a.stage->run;
  const RunTasks& right = b.stage->run;
  if (left.batch_ms != right.batch_ms) return left.batch_ms < right.batch_ms;
  return left.stage > right.stage;
}

}  // namespace

StageRun::StageRun(RunTasks tasks, std::shared_ptr<StateStore> with)
    : run(std::move(tasks)),
      state(std::move(with)),
      remaining_(static_cast<uint32_t>(run.tasks.size())),
      places_(run.tasks.size()) {
  ended_.generation = run.generation;
  ended_.batch_ms = run.batch_ms;
  ended_.stage = run.stage;
  ended_.copy = run.copy;
}

bool StageRun::Runs(const LeaveTask& command) const {
  return run.generation == command.generation && run.batch_ms == command.batch_ms &&
         run.stage == command.stage && run.copy == command.copy;
}

bool StageRun::Begin(uint32_t index, uint32_t slot) {
  const std::lock_guard lock(mutex_);
  if (places_[index].at == At::kLeft) return false;
  places_[index] = {At::kSlot, slot};
  return true;
}

bool StageRun::End(uint32_t index, std::variant<TaskResult, FailedTask> outcome,
                   std::optional<TasksEnded>* ended) {
  const std::lock_guard lock(mutex_);
  if (places_[index].at == At::kLeft) return false;
  places_[index].at = At::kEnded;
  if (auto* result = std::get_if<TaskResult>(&outcome)) {
    ended_.results.push_back(std::move(*result));
  } else {
    ended_.failed.push_back(std::move(std::get<FailedTask>(outcome)));
  }
  if (--remaining_ == 0) *ended = std::move(ended_);
  return true;
}

std::optional<StageRun::Place> StageRun::Leave(uint32_t index,
                                               const std::function<void(uint32_t slot)>& in_slot,
                                               std::optional<TasksEnded>* ended) {
  const std::lock_guard lock(mutex_);
  const Place was = places_[index];
  if (was.at == At::kEnded || was.at == At::kLeft) return std::nullopt;
  if (was.at == At::kSlot) in_slot(was.slot);
  places_[index].at = At::kLeft;
  ended_.left.push_back(run.tasks[index].task);
  if (--remaining_ == 0) *ended = std::move(ended_);
  return was;
}

uint64_t TaskBag::Expect(StageId stage, uint64_t input_bytes) const {
  const Cost& cost = cost_[stage];
  const double by_bytes = cost.us_per_byte * static_cast<double>(input_bytes);
  return static_cast<uint64_t>(std::max(by_bytes, cost.last_us / 2)) + 2;
}

void TaskBag::Add(std::shared_ptr<StageRun> stage) {
  for (uint32_t i = 0; i < stage->run.tasks.size(); ++i) {
    BagTask task{stage, i, InputBytes(stage->run.tasks[i]), 0};
    task.expected_us = Expect(stage->run.stage, task.input_bytes);
    expected_us_ += task.expected_us;
    const auto at = std::upper_bound(tasks_.begin(), tasks_.end(), task, Before);
    tasks_.insert(at, std::move(task));
  }
}

BagTask TaskBag::Take() {
  BagTask task = std::move(tasks_.front());
  tasks_.pop_front();
  expected_us_ -= task.expected_us;
  return task;
}

void TaskBag::Clear() {
  tasks_.clear();
  expected_us_ = 0;
}

void TaskBag::Learn(StageId stage, uint64_t input_bytes, uint64_t took_us) {
  constexpr double kNew = 0.25;
  Cost& cost = cost_[stage];
  cost.last_us = static_cast<double>(took_us);
  if (input_bytes < 256) return;  // says nothing about bytes
  const double rate = cost.last_us / static_cast<double>(input_bytes);
  cost.us_per_byte += kNew * (rate - cost.us_per_byte);
}

}  // namespace sluice
