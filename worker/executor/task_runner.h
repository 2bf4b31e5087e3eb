// Runs one task: its input, the fused operators of its stage, shares for others, state, output.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "common/plan/stages.h"
#include "worker/executor/bad_search.h"
#include "worker/executor/effect_gate.h"
#include "worker/executor/executor_events.h"
#include "worker/executor/output_stager.h"
#include "worker/executor/state_store.h"
#include "worker/executor/task_input.h"

namespace sluice {

// What all tasks of an executor have in common.
struct TaskSetup {
  const StagePlan* plan = nullptr;
  uint64_t job_instance = 0;
  int64_t zero_ms = 0;
  int64_t batch_interval_ms = 1000;
  uint32_t key_groups = 1024;
  BlockReader* blocks = nullptr;
  OutputStager* outputs = nullptr;
  EffectGate* effects = nullptr;      // may be null where no output is a ForeachPartition
  RunningTaskBoard* board = nullptr;  // may be null
  bool deltas = false;                // results hold what tasks changed of the state
  // A share above this travels in pieces, so that a message can hold each; one record is not cut,
  // and fails its task where it is above what a message can take beside all else.
  uint64_t share_piece_bytes = 16 << 20;
  uint64_t share_record_bytes_max = 72 << 20;
  // 0: a task at which user code throws fails. Else what makes it throw is left out, up to so many
  // records and keys.
  uint32_t bad_records_max = 0;
  // Called where the state can no longer be used: ends the process. Null: the task fails.
  std::function<void(const std::string& why)> state_lost;
};

using TaskOutcome = std::variant<TaskResult, FailedTask>;

// Serves one slot: one thread at a time. Kernels, tables and buffers are kept from task to task.
// What a task writes to state and stages counts only if it ends well; exceptions of user code end
// here, as a failure that names the operator, or as letters (careful_run.cc, docs/dead_letters.md).
class TaskRunner {
 public:
  TaskRunner(const TaskSetup& setup, uint32_t slot);
  ~TaskRunner();

  TaskOutcome Run(const RunTasks& run, const TaskWork& work, StateStore& state);

 private:
  struct Dataset {
    RecordBatch buffer;
    std::vector<BatchView> views;
    uint32_t readers = 0;  // fragments, edges and outputs that are still to read it
  };

  struct Ended {
    absl::Status status;
    bool threw = false;  // user code, and not for want of memory
  };
  enum class At { kInput, kOperator, kRecords, kEffect };

  TaskOutcome RunWithLetters(const RunTasks& run, const TaskWork& work, StateStore& state);
  Ended Try(const RunTasks& run, const TaskWork& work, StateStore& state);
  void ForgetTask(bool kernels_too);
  absl::Status RunTask(const RunTasks& run, const TaskWork& work, StateStore& state);
  absl::Status RunRoot(const Stage& stage, const RunTasks& run, const TaskWork& work,
                       StateStore::Attempt& attempt);
  absl::Status ReadShares(const RunTasks& run, const TaskWork& work);
  absl::Status AddRowsOfLetters(const RunTasks& run, Dataset& dataset);
  absl::Status RunOperator(const Stage& stage, const RunTasks& run, const TaskWork& work,
                           StateStore::Attempt& attempt);
  PartitionOperator& OperatorOf(const Stage& stage);
  void RunOperatorOn(const Stage& stage, const RunTasks& run, std::span<const Share> shares,
                     KeyedState* state, RecordBatch& out);
  absl::Status RunRest(const Stage& stage, const RunTasks& run);
  void CountReaders(const Stage& stage, const RunTasks& run);
  bool CountsOutput(const OutputPiece& piece, const RunTasks& run) const;
  void RunFragment(const Fragment& fragment);
  absl::Status RunEdge(const Edge& edge);
  absl::Status RunEdgeOneByOne(const Edge& edge, ShuffleKernel& kernel);
  absl::Status AddShare(EdgeId edge, uint32_t partition, const RecordBatch& share,
                        const std::function<std::string()>& take);
  absl::Status RunEffects(const Stage& stage, const RunTasks& run);
  bool IsEffect(const OutputPiece& piece) const;
  const Output& Enter(const OutputPiece& piece);
  void MakeRows(const OutputPiece& piece, RecordBatch& rows);
  absl::Status AddOutput(uint32_t piece_index, const RunTasks& run, const BatchView& rows);
  absl::Status RunEffect(const Output& output, const RunTasks& run, uint32_t piece,
                         const BatchView& rows);
  uint32_t PieceOf(uint32_t piece_index, const RunTasks& run) const;
  static uint32_t TotalTasks(const Stage& stage, const RunTasks& run);
  void DoneReading(FragmentId fragment);
  void SetContext(const RunTasks& run, const TaskWork& work);
  void SeedFor(FragmentId read);
  FailedTask Failure(const RunTasks& run, const TaskWork& work, const absl::Status& status) const;

  // careful_run.cc: leaving out what user code throws at.
  void TakeLeftOut(const RunTasks& run, const TaskWork& work, StateStore& state);
  void TellLeftOut(const RunTasks& run, const TaskWork& work);
  Ended RunCarefully(const RunTasks& run, const TaskWork& work, StateStore& state, Ended ended);
  using OnRecords = std::function<void(std::span<const uint64_t> records, const Probe& probe)>;
  void WithRecords(const RunTasks& run, const TaskWork& work, StateStore& state,
                   const OnRecords& search);
  // Records, and in each view the place of the first.
  struct Placed {
    std::vector<BatchView> views;
    std::vector<uint64_t> first;
  };
  Placed WithPlaces(std::vector<BatchView> views, const TaskWork& work) const;
  std::optional<BadItem> ProbeRecords(const Stage& stage, const RunTasks& run, const Placed& root,
                                      std::span<const uint64_t> records);
  void SearchOneByOne(const RunTasks& run, const TaskWork& work, StateStore& state);
  void FindRecords(const RunTasks& run, const TaskWork& work, StateStore& state);
  void FindKeys(const RunTasks& run, const TaskWork& work, StateStore& state);
  std::optional<BadItem> ProbeKeys(const RunTasks& run, const TaskWork& work, StateStore& state,
                                   const std::set<std::string_view>& visible);
  void LeaveOutRecords(const Stage& stage, const RunTasks& run, const TaskWork& work);
  void LeaveOutKeys(const Node& node, const RunTasks& run);
  proto::Letter LetterOf(const RunTasks& run, const BadItem& bad) const;

  const TaskSetup setup_;
  const uint32_t slot_;
  TaskContext context_;
  uint64_t task_seed_ = 0;
  std::vector<std::string> values_;  // of the batch
  TaskInputReader input_;
  TaskResult result_;
  std::string operator_;          // whose code is running; for failures
  std::vector<Dataset> datasets_;  // by fragment
  RecordBatch rows_;
  std::vector<RecordBatch> effect_rows_;
  std::vector<Share> shares_;     // of the operator, in the order in which it folds them
  // What is left out of the task.
  struct Left {
    std::map<uint64_t, BadItem> records;  // by place in the root's dataset, see LeftOut
    std::map<std::string, BadItem, std::less<>> keys;
    bool one_by_one = false;
    size_t size() const { return records.size() + keys.size(); }
  };
  Left left_;
  std::deque<RecordBatch> kept_;  // what is not
  At at_ = At::kInput;
  bool probing_ = false;          // what runs makes no shares and no output
  std::vector<std::unique_ptr<ShuffleKernel>> shuffle_kernels_;      // by edge
  std::vector<std::unique_ptr<PartitionOperator>> operators_;        // by stage
};

}  // namespace sluice
