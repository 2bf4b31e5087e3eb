// Runs batches of a job again, in this process and on one thread: what a debugger wants, and
// whoever asks why a re-run gave another state (docs/batch_replay.md).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "checkpoint/manifest.h"
#include "checkpoint/object_store.h"
#include "checkpoint/state_part.h"
#include "common/plan/stages.h"
#include "proto/log.pb.h"
#include "proto/replay.pb.h"
#include "worker/executor/executor_core.h"
#include "worker/executor/state_store.h"
#include "worker/executor/task_runner.h"

namespace sluice {

// Rows of an output that writes files, as the replay gave them.
struct ReplayedRows {
  uint32_t output = 0;
  uint32_t piece = 0;
  std::vector<std::string> rows;
};

// Not thread-safe. Batches in order, each after the one before it.
class BatchReplay {
 public:
  // All outlive it. `plan` is of the job's partitions.
  BatchReplay(const StagePlan* plan, const proto::JobBegun& job, ObjectStore* objects,
              const StatePartCodec* codec);
  ~BatchReplay();

  // Goes on from the state of a checkpoint, or without one from none.
  absl::Status Load(const Manifest* manifest);
  // Runs it as it was decided, if it was, without the blocks that are lost. Outputs run when
  // `outputs`, and only on paper: nothing is written, and code with effects outside does not run.
  // The error is a task's.
  absl::StatusOr<proto::BatchReport> Run(const proto::ReplayCase::Batch& batch, bool outputs);
  // Of the last batch that ran.
  const std::vector<ReplayedRows>& rows() const;

 private:
  class Blocks;
  class Paper;
  void Feed(ExecutorEvent event);
  void Do(RunTasks& run);
  proto::GrantedBatch Granted(const proto::ReplayCase::Batch& batch, bool outputs) const;
  void AddLeftOut(const proto::ReplayCase::Batch& batch, proto::GrantedBatch& granted) const;

  const StagePlan* plan_;
  const proto::JobBegun job_;
  ObjectStore* objects_;
  const StatePartCodec* codec_;
  std::unique_ptr<Blocks> blocks_;
  std::unique_ptr<Paper> paper_;
  TaskSetup setup_;
  std::unique_ptr<TaskRunner> runner_;
  std::unique_ptr<ExecutorCore> core_;
  std::unique_ptr<StateStore> state_;
  int64_t previous_ms_ = 0;
  int64_t now_ = 1;
  absl::Status load_;
  std::string missing_;  // input that cannot be had
  std::vector<proto::BatchReport> reports_;
};

}  // namespace sluice
