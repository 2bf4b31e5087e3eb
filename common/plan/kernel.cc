#include "common/plan/kernel.h"

namespace sluice {
namespace {

thread_local const TaskContext* current_task = nullptr;

}  // namespace

const TaskContext* CurrentTask() { return current_task; }

CurrentTaskScope::CurrentTaskScope(const TaskContext& context) : before_(current_task) {
  current_task = &context;
}
CurrentTaskScope::~CurrentTaskScope() { current_task = before_; }

}  // namespace sluice
