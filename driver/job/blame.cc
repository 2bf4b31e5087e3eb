#include "driver/job/blame.h"

namespace sluice {

std::optional<TaskName> Blame::OnExited(const proto::ExecutorExited& exited, bool search_first) {
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
  if (TakeCulprit(guilty, exited.tasks(0).record(), exited.cause())) return std::nullopt;
  if (search_first) return std::nullopt;
  if (++failures_[guilty] < failures_max_) return std::nullopt;
  return guilty;
}

// `record` counts from 1; 0: it is not known.
bool Blame::TakeCulprit(const TaskName& task, uint64_t record, const std::string& cause) {
  if (record == 0 || culprits_max_ == 0) return false;
  size_t known = 0;
  for (const auto& [other, records] : culprits_) {
    if (other.batch_ms == task.batch_ms) known += records.size();
  }
  return known < culprits_max_ && culprits_[task].emplace(record - 1, "killed by " + cause).second;
}

void Blame::Forget(int64_t up_to_batch_ms) {
  std::erase_if(suspects_, [&](const TaskName& t) { return t.batch_ms <= up_to_batch_ms; });
  std::erase_if(culprits_, [&](const auto& c) { return c.first.batch_ms <= up_to_batch_ms; });
  std::erase_if(failures_, [&](const auto& f) { return f.first.batch_ms <= up_to_batch_ms; });
}

uint32_t Blame::FailuresOf(const TaskName& task) const {
  const auto found = failures_.find(task);
  return found == failures_.end() ? 0 : found->second;
}

}  // namespace sluice
