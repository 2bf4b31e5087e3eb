#include "driver/api/batch_value.h"

#include <stdexcept>
#include <string>

#include "common/plan/kernel.h"

namespace sluice {
namespace {

const TaskContext& TaskAtHand() {
  const TaskContext* task = CurrentTask();
  if (task == nullptr) {
    throw std::logic_error("the time and the values of a batch are known only inside functions "
                           "that the batch calls");
  }
  return *task;
}

}  // namespace

int64_t BatchTime::ms() const { return TaskAtHand().batch_ms; }

namespace internal {

std::string_view FindBatchValue(BatchValueId id) {
  const TaskContext& task = TaskAtHand();
  if (id >= task.values.size()) {
    throw std::logic_error("the plan of batch " + std::to_string(task.batch_ms) +
                           " has no value " + std::to_string(id));
  }
  return task.values[id];
}

void ThrowBadBatchValue(std::string_view type) {
  throw std::runtime_error("a value of the batch does not decode as " + std::string(type));
}

}  // namespace internal
}  // namespace sluice
