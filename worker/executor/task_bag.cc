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
