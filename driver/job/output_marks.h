// When the folders of a job's file outputs are marked: while an executor of tasks is on its way up,
// which looks for the mark, and until the job has one (docs/file_outputs.md).
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "common/plan/graph.h"
#include "driver/job/commands.h"

namespace sluice {

// Not thread-safe.
class OutputMarks {
 public:
  explicit OutputMarks(const LineageGraph& graph)
      : needed_(std::any_of(graph.outputs().begin(), graph.outputs().end(),
                            [](const Output& output) { return WritesFiles(output.kind); })) {}

  bool needed() const { return needed_; }
  // Whether the job driver itself has had its look, once.
  bool looked() const { return !needed_ || looked_; }

  // True when there are no marks any more from here on.
  bool Advance(bool wanted, const MarkOutputs& mark, std::vector<DriverCommand>& out) {
    if (needed_ && wanted && at_ == At::kNone) {
      at_ = At::kAsked;
      out.push_back(mark);
    }
    if (wanted || at_ != At::kThere) return false;
    at_ = At::kNone;
    out.push_back(UnmarkOutputs{});
    return true;
  }

  void OnMarked(const OutputsMarked& marked, std::vector<DriverCommand>& out) {
    at_ = At::kThere;
    looked_ = true;
    std::vector<std::string> problems = marked.passing;
    if (!marked.refused.empty()) problems.push_back(marked.refused);
    for (const std::string& problem : problems) {
      const bool said = std::find(said_.begin(), said_.end(), problem) != said_.end();
      if (!said) out.push_back(Say{Say::Level::kWarning, problem});
    }
    said_ = std::move(problems);
  }

 private:
  enum class At { kNone, kAsked, kThere };

  const bool needed_;
  bool looked_ = false;
  At at_ = At::kNone;
  std::vector<std::string> said_;  // the last time
};

}  // namespace sluice
