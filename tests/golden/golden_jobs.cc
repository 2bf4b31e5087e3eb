#include "tests/golden/golden_jobs.h"

#include <map>

namespace sluice::golden {

void Calls::operator()(const Batch<std::string>& batch) const {
  std::lock_guard lock(noted_->mutex);
  if (!noted_->cell.has_value()) noted_->cell.emplace().emplace_back();
  Rows& rows = noted_->cell->back();
  rows.push_back(std::to_string((batch.time_ms() - TestContext::kZeroMs) / 1000) + "s");
  for (const std::string& record : batch.Collect()) rows.push_back(record);
}

Cell Calls::Take() {
  std::lock_guard lock(noted_->mutex);
  return std::exchange(noted_->cell, std::nullopt);
}

const Declare* FindJob(const std::string& text_without_layout) {
  static const auto* const all = [] {
    auto* map = new std::map<std::string, Declare>;
    for (auto* jobs : {&NarrowJobs, &DatasetJobs, &PairJobs, &JoinJobs, &WindowJobs, &StateJobs,
                       &MapWithStateJobs, &TransformJobs, &UserKeyJobs}) {
      for (Job& job : jobs()) map->emplace(std::move(job.text), std::move(job.declare));
    }
    return map;
  }();
  const auto found = all->find(text_without_layout);
  return found == all->end() ? nullptr : &found->second;
}

}  // namespace sluice::golden
