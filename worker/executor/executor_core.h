// The executor's decisions: what runs when, what is sent to whom, what state is kept. A function
// of its events: no I/O, no threads, no clock, and no look into shares or records.
//
// Rules:
// 1. Everything is named by generation. Older messages are dropped, newer ones held until their
//    grant is in; a grant drops everything.
// 2. A source stage of a batch starts when its predecessor's has run here and the batch before
//    that one is finished here. A shuffle stage starts when the bundles of all members for all
//    its sending stages are in and the same stage of the predecessor has run here.
//    So a member's shares of at most kBatchesShared batches are here, the oldest unfinished one
//    among them: that is all the credit a sender needs, and has.
// 3. A stage that has active edges out sends one bundle to every member, also an empty one, also
//    when no task of it ran here. Bundles are kept, to be sent again when a link breaks.
// 4. A failed task is run again in place, from the same shares, up to a limit.
// 5. A batch's layer is merged when the batch is finished here and decided, in order. A
//    checkpoint is taken between the merge of its batch and the next; its changes are forgotten
//    only when it is sealed.
// 6. Where deltas are asked for, the changes that a batch made to the state here are sealed as a
//    block in the daemon when the batch is finished; its report names that block. The job driver
//    does not decide the batch before it has heard of the block from the daemon.
// 7. A stage with an output whose code has effects outside runs when the job driver permits the
//    batch; in a batch that rebuilds state such outputs do not run at all.
// 8. Of a task and its copy the first to end here, at the task's owner, counts: its own end, or the
//    last share of the copy. The owner's bundles and its report say which; whoever folds goes by
//    them (docs/straggler_copies.md).
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/plan/stages.h"
#include "worker/executor/batch_work.h"
#include "worker/executor/executor_events.h"
#include "worker/executor/share_book.h"

namespace sluice {

struct ExecutorCoreOptions {
  uint32_t executor = 0;
  uint64_t job_instance = 0;
  std::string job_driver;                  // address
  int64_t zero_ms = 0;
  int64_t batch_interval_ms = 1000;
  uint32_t task_max_failures = 4;
  uint64_t deltas = 0;                       // incarnation of its blocks of deltas; 0: none
  uint64_t delta_bytes_max = uint64_t{32} << 20;      // of one
  uint64_t unsealed_bytes_max = uint64_t{128} << 20;  // that the daemon has not taken yet
  uint64_t chunk_bytes = uint64_t{1} << 20;  // of bundles
  uint64_t held_bytes_max = uint64_t{256} << 20;
  int64_t input_retry_us = 200'000;        // after input could not be had
  int64_t answer_repeat_us = 500'000;      // of reports that nothing has answered
  int64_t bundle_repeat_us = 5'000'000;    // at first; doubles
  int64_t link_retry_us = 50'000;          // at first; doubles up to 2 s
  bool straggler_copies = false;           // asks for copies of tasks that are late
};

// Not thread-safe.
class ExecutorCore {
 public:
  using Commands = std::vector<ExecutorCommand>;

  // `plan` outlives the core.
  ExecutorCore(ExecutorCoreOptions options, const StagePlan* plan);

  Commands Step(MonotonicTime now, ExecutorEvent event);

  // For shells and tests.
  const GenerationId& generation() const { return generation_; }
  const std::map<int64_t, BatchWork>& batches() const { return batches_; }
  static constexpr uint32_t kBatchesShared = 4;
  uint32_t batches_shared() const { return shares_.batches(); }

 private:
  struct Member {
    proto::Grant::Member info;
    int64_t highest_batch_ms = 0;    // of its bundles
    MonotonicTime resend_at = 0;     // 0: nothing is to be sent again
    int64_t pause_us = 0;
  };
  struct Checkpoint {
    int64_t batch_ms = 0;
    bool written = false;
    bool abandoned = false;
    proto::CheckpointPart part;
    MonotonicTime sent = 0;
  };

  // executor_core.cc: what comes in.
  void On(GrantIn& event);
  void On(StateLoaded& event);
  void On(DeltaSealed& event);
  void On(BatchGrantIn& event);
  void On(BundleIn& event);
  void On(TasksEnded& event);
  void On(PartWritten& event);
  void On(LinkLost& event);
  void On(WakeUp& event);
  void TakeBatch(const proto::GrantedBatch& granted);
  void TakeBundle(std::shared_ptr<const proto::ShareBundle> bundle);
  void ReplayHeld();
  bool Hold(GenerationId generation, ExecutorEvent event, uint64_t bytes);
  bool IsMember(uint32_t executor) const;

  // executor_stages.cc: what runs.
  void Advance();
  bool AdvanceBatch(BatchWork& batch);
  const BatchWork* Predecessor(const BatchWork& batch, bool& known) const;
  bool MayRun(const BatchWork& batch, const Stage& stage) const;
  bool EffectsAllowed(const BatchWork& batch, const Stage& stage) const;
  bool SharesAreIn(const BatchWork& batch, const Stage& stage) const;
  void StartStage(BatchWork& batch, const Stage& stage);
  std::vector<uint32_t> OwnTasks(const BatchWork& batch, const Stage& stage) const;
  void Launch(BatchWork& batch, const Stage& stage, const std::vector<uint32_t>& tasks);
  void AddShares(const BatchWork& batch, const Stage& stage, RunTasks& command) const;
  void FinishStage(BatchWork& batch, const Stage& stage);
  void CountResults(BatchWork& batch, const Stage& stage, std::vector<TaskResult>& results);
  bool Sends(const BatchWork& batch, const Stage& stage) const;
  void SendBundles(BatchWork& batch, const Stage& stage, std::vector<TaskResult>& results);
  void Distribute(BatchWork& batch, const BundleHead& head, std::vector<TaskResult>& results);
  void FailBatch(BatchWork& batch, const proto::TaskFailure& failure);
  void RefuseTooLarge(proto::BatchReport& report) const;
  void SealDeltaOf(BatchWork& batch);
  void SendReport(BatchWork& batch);

  // executor_copies.cc: tasks that two executors run.
  bool Idle() const;
  MonotonicTime CopiesDue(const BatchWork& batch, const Stage& stage) const;
  void AskForCopies();
  void TakeCopy(const proto::TaskCopy& copy);
  void OnCopyEnded(BatchWork& batch, TasksEnded& event);
  std::optional<uint32_t> CopierOf(int64_t batch_ms, StageId stage, uint32_t task) const;
  bool TakeTaken(BatchWork& batch, StageId stage, uint32_t task);
  void OnBundleTaken(BatchWork& batch, const proto::ShareBundle& chunk);
  void LeaveLostCopies(BatchWork& batch, StageId stage, uint32_t owner);
  void Compare(BatchWork& batch, const proto::ShareBundle& chunk);

  // executor_upkeep.cc: merging, checkpoints, repeats.
  void Merge();
  void TakeCheckpoint(int64_t batch_ms);
  void SettleCheckpoint();
  void Release();
  bool NobodyNeeds(std::map<int64_t, BatchWork>::const_iterator batch) const;
  void Repeat();
  void ResendTo(uint32_t member);
  void ScheduleWake();
  void SendGrantDone();
  // `may_pass`: it is tried again, but the job driver should know what the others wait for.
  void TellGrant(const std::string& error, bool may_pass);
  void SendToDriver(proto::Envelope message);
  proto::Generation WireGeneration() const;

  const ExecutorCoreOptions options_;
  const StagePlan* plan_;
  MonotonicTime now_ = 0;
  Commands out_;

  GenerationId generation_;             // {0, 0}: no grant yet
  std::vector<Member> members_;
  std::optional<Ownership> owners_;
  uint32_t me_ = 0;                     // place among the members
  bool loaded_ = false;
  std::string load_error_;              // damage
  bool delta_lost_ = false;             // it is of a delta
  proto::Grant grant_;                  // of the generation, until its state is loaded
  MonotonicTime load_again_at_ = 0;     // 0: it is under way, or done
  MonotonicTime grant_done_sent_ = 0;   // 0: answered, or not to be sent yet

  std::map<int64_t, BatchWork> batches_;
  int64_t released_ms_ = 0;             // all batches up to this one are done with
  int64_t merged_ms_ = 0;
  int64_t decided_ms_ = 0;
  int64_t sealed_ms_ = 0;
  int64_t abandoned_ms_ = 0;
  int64_t effects_ms_ = 0;  // batches up to this one may have effects outside
  std::optional<Checkpoint> checkpoint_;
  ShareBook shares_;

  // Deltas that the daemon has not said to have: those of former generations, too, as it takes
  // them in the order of their numbers only.
  struct Seal {
    SealDelta command;
    uint64_t bytes = 0;
    MonotonicTime due = 0;  // to be sent again
    int64_t pause_us = 0;   // doubles while the daemon takes none: it may have no room
  };
  std::deque<Seal> seals_;
  uint64_t unsealed_bytes_ = 0;  // of them
  uint64_t last_delta_ = 0;

  struct Held {
    GenerationId generation;
    ExecutorEvent event;
    uint64_t bytes;
  };
  std::deque<Held> held_;
  uint64_t held_bytes_ = 0;
  MonotonicTime wake_at_ = 0;
};

}  // namespace sluice
