// For tests of operators: a program on scripted batches of lines, run by the reference interpreter.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "common/plan/interpreter.h"
#include "driver/api/api.h"

namespace sluice {

using Rows = std::vector<std::string>;

// A batch is a list of tasks, a task a list of lines.
class ScriptedProgram {
 public:
  explicit ScriptedProgram(void (*build)(StreamingContext&, DStream<std::string>),
                           uint32_t partitions = 2, uint64_t job_instance = 0)
      : context_({.name = "test", .batch_interval = std::chrono::seconds(1)}) {
    build(context_, context_.QueueStream<std::string>(RecordQueue<std::string>()));
    const Outcome outcome = context_.Check();
    EXPECT_TRUE(outcome.ok()) << outcome.message;
    interpreter_.emplace(context_.graph(), partitions, 1024, 0, 1000, job_instance);
  }

  // The output's partitions at the next batch.
  std::vector<Rows> Parts(const std::vector<Rows>& tasks, size_t output = 0) {
    ReferenceInterpreter::TaskInputs inputs;
    for (const Rows& task : tasks) {
      RecordBatch batch;
      for (const std::string& line : task) batch.Append(line);
      EncodeBatch(batch.view(), inputs.emplace_back().emplace_back());
    }
    results_ = interpreter_->RunBatch({inputs}, now_ms_ += 1000);
    return results_[output].parts;
  }
  // All rows, sorted; {"none"} for no dataset.
  Rows Sorted(const std::vector<Rows>& tasks, size_t output = 0) {
    Parts(tasks, output);
    return SortedOf(output);
  }
  // Of the last batch.
  Rows SortedOf(size_t output) const {
    if (!results_[output].has_dataset) return {"none"};
    Rows all;
    for (const Rows& part : results_[output].parts) all.insert(all.end(), part.begin(), part.end());
    std::sort(all.begin(), all.end());
    return all;
  }

  StreamingContext& context() { return context_; }

 private:
  StreamingContext context_;
  std::optional<ReferenceInterpreter> interpreter_;
  std::vector<ReferenceInterpreter::OutputResult> results_;
  int64_t now_ms_ = 0;
};

}  // namespace sluice
