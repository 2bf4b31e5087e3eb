// Compares text output on disk with what it must be, byte for byte.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "common/plan/graph.h"
#include "common/plan/interpreter.h"

namespace sluice::kills {

// Not thread-safe.
class OutputCheck {
 public:
  explicit OutputCheck(const LineageGraph& graph) : graph_(graph) {}

  // The results of one batch, by output.
  void Batch(int64_t batch_ms, const std::vector<ReferenceInterpreter::OutputResult>& results);
  // After the last batch: whatever else lies beside the outputs is too much.
  void Finish();

  // What differs: a batch or part that is missing, one too many, or other bytes.
  const std::vector<std::string>& complaints() const { return complaints_; }
  uint64_t directories() const { return expected_.size(); }
  uint64_t parts() const { return parts_; }
  uint64_t bytes() const { return bytes_; }

 private:
  void Directory(const std::string& path, const ReferenceInterpreter::OutputResult& result);
  void Part(const std::string& path, const std::vector<std::string>& lines);

  const LineageGraph& graph_;
  std::set<std::string> expected_;
  std::vector<std::string> complaints_;
  uint64_t parts_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace sluice::kills
