// What a task reads of letters that are run again (docs/dead_letters.md).
#include <algorithm>
#include <vector>

#include "common/status.h"
#include "worker/executor/task_runner.h"

namespace sluice {

// The shares of letters that are run again go behind the others of their input.
absl::Status TaskRunner::ReadShares(const RunTasks& run, const TaskWork& work) {
  RETURN_IF_ERROR(input_.ReadShares(work.shares));
  std::vector<uint32_t> inputs;
  for (const auto* share : work.shares) inputs.push_back(setup_.plan->edges()[share->edge()].input);
  for (const proto::LetterInput& letter : run.batch->letters()) {
    if (letter.stage() != run.stage || letter.partition() != work.task || letter.is_row()) continue;
    RETURN_IF_ERROR(input_.Add(letter));
    inputs.push_back(letter.input());
    result_.records_read += letter.records().records();
  }
  shares_.clear();
  for (size_t i = 0; i < inputs.size(); ++i) shares_.push_back({inputs[i], input_.views()[i]});
  std::stable_sort(shares_.begin(), shares_.end(),
                   [](const Share& a, const Share& b) { return a.input < b.input; });
  return absl::OkStatus();
}

// Behind the operator's own.
absl::Status TaskRunner::AddRowsOfLetters(const RunTasks& run, Dataset& dataset) {
  for (const proto::LetterInput& letter : run.batch->letters()) {
    const bool ours = letter.stage() == run.stage && letter.partition() == context_.task;
    if (!ours || !letter.is_row()) continue;
    RETURN_IF_ERROR(input_.Add(letter));
    dataset.views.push_back(input_.views().back());
    result_.records_read += letter.records().records();
  }
  return absl::OkStatus();
}

}  // namespace sluice
