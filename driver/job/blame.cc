#include "driver/job/blame.h"

namespace sluice {

std::optional<TaskName> Blame::OnExited(const proto::ExecutorExited& exited) {
  if (!judged_.insert(exited.executor()).second || !exited.own_fault()) return std::nullopt;
  std::set<TaskName> running;
  for (const auto& task : exited.tasks()) {
    running.insert({task.batch_ms(), task.stage(), task.task()});
  }
  if (running.size() != 1) {
    suspects_.merge(running);
    return std::nullopt;
  }
  const TaskName guilty = *running.begin();
  if (suspects_.contains(guilty)) {  // caught: whoever was suspected beside it is cleared
    std::erase_if(suspects_, [&](const TaskName& task) { return !failures_.contains(task); });
  }
  suspects_.insert(guilty);
  if (++failures_[guilty] < failures_max_) return std::nullopt;
  return guilty;
}

void Blame::Forget(int64_t up_to_batch_ms) {
  std::erase_if(suspects_, [&](const TaskName& t) { return t.batch_ms <= up_to_batch_ms; });
  std::erase_if(failures_, [&](const auto& f) { return f.first.batch_ms <= up_to_batch_ms; });
}

uint32_t Blame::FailuresOf(const TaskName& task) const {
  const auto found = failures_.find(task);
  return found == failures_.end() ? 0 : found->second;
}

}  // namespace sluice
