// Runs batches in one generation: grants them, gathers the reports, checks that nothing was lost
// between planned, read, pushed and folded. A new generation starts it anew.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "common/plan/stages.h"
#include "driver/job/blame.h"
#include "driver/job/commands.h"
#include "driver/job/job_options.h"
#include "driver/job/job_state.h"
#include "driver/job/membership.h"

namespace sluice {

// One batch on its way through the present generation.
struct BatchRun {
  int64_t batch_ms = 0;
  int64_t previous_ms = 0;  // the batch added before it in this generation; 0: none
  bool rebuild = false;
  bool checkpoint = false;
  bool granted = false;
  uint64_t bytes = 0;  // of its composition, which its grants carry; known when it is granted
  MonotonicTime sent = 0;
  MonotonicTime first_sent = 0;
  MonotonicTime reported = 0;  // when its last report was seen
  std::map<uint32_t, proto::BatchReport> reports;  // by executor
  // Tasks of which a copy was started: by stage and task, the executor that runs it.
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> copies;
  bool foreach_asked = false;
  std::set<uint32_t> foreach_waiting;              // outputs whose user code runs
};

// What the reports of a whole batch add up to.
struct BatchOutcome {
  std::string failure;                  // a task failed for good: operator, record, cause
  std::string imbalance;                // conservation does not hold
  proto::Decided decided;
  std::map<uint32_t, std::vector<std::string>> foreach_parts;  // by output
};

// How far the log and the checkpoints are, as executors are told.
struct Progress {
  int64_t decided_ms = 0;
  int64_t sealed_ms = 0;
  int64_t abandoned_ms = 0;
  int64_t effects_ms = 0;  // tasks up to this batch may have effects outside
  uint64_t durable_slot = 0;
};

// Not thread-safe.
class BatchRunner {
 public:
  using HolderLookup = std::function<std::vector<std::string>(const BlockId&)>;
  // What is known of a block of deltas that a daemon has announced; null: none has.
  using DeltaLookup = std::function<const proto::BlockInfo*(const BlockId&)>;
  BatchRunner(const JobDriverOptions& options, const StagePlan& plan, JobState* state,
              const Membership* members, const Blame* blame, HolderLookup holders,
              DeltaLookup deltas)
      : options_(options), plan_(plan), state_(state), members_(members), blame_(blame),
        holders_(std::move(holders)), deltas_(std::move(deltas)) {}

  // Drops all runs and takes the members of the new generation, in order.
  void Begin(const proto::Grant& grant);
  void Add(int64_t batch_ms, bool rebuild, bool checkpoint);
  // Sends what may be granted now, several batches in one message; repeats what got no report. What
  // is under way is bounded in number and, but for one batch alone, in bytes: so is the message.
  // Where tasks have effects outside, a batch that would be alone under way is granted only with
  // the permission for them, so that it costs no message of its own.
  void Grant(MonotonicTime now, const Progress& progress, std::vector<DriverCommand>& out);
  void OnReport(const proto::BatchReport& report);
  // An executor has nothing to do and waits for others: has it run some of their tasks, too, of
  // those that may have a copy (batch_copies.cc). Gives how many were started.
  uint32_t OnLate(const proto::StageLate& late, std::vector<DriverCommand>& out);
  // The oldest run, when all its reports are in, and the deltas that they name with daemons, or
  // have been waited for in vain; null otherwise.
  BatchRun* Whole(MonotonicTime now);
  BatchOutcome Outcome(const BatchRun& run) const;
  void PopFront() { runs_.pop_front(); }
  BatchRun* Find(int64_t batch_ms);

  bool active() const { return !members_in_.empty(); }
  const std::vector<proto::Grant::Member>& members() const { return members_in_; }
  const std::deque<BatchRun>& runs() const { return runs_; }
  const proto::Generation& generation() const { return generation_; }
  uint32_t slots() const;
  // Index of the member that runs each of so many map tasks; empty without members. Tasks that were
  // planned for another number of slots do not come out even: who has one more than others changes
  // from batch to batch, so that over a few batches, which overlap, all have the same.
  std::vector<uint32_t> MembersOfTasks(int64_t batch_ms, uint32_t tasks) const;
  // Tells the executors of it when there is no batch to grant.
  void Inform(const Progress& progress, std::vector<DriverCommand>& out) const;

 private:
  proto::BatchGrant Carrying(const Progress& progress) const;
  bool DeltasAreIn(const BatchRun& run) const;
  bool InputReady(const proto::Composition& composition) const;
  bool InputReady(const proto::TaskInput& task) const;
  uint32_t MemberOfTask(int64_t batch_ms, uint32_t stage, uint32_t task, uint32_t tasks) const;
  void FillTask(const proto::TaskInput& input, uint32_t index,
                proto::GrantedBatch::Task& task) const;
  proto::GrantedBatch ForMember(const BatchRun& run, uint32_t member) const;
  void CheckBalance(const BatchRun& run, BatchOutcome& outcome) const;
  bool LacksBlocks(const proto::Composition& composition) const;
  void AddLeftOut(const BatchRun& run, proto::GrantedBatch& granted) const;
  void GatherLetters(const BatchRun& run, BatchOutcome& outcome) const;
  void GatherDeltas(const BatchRun& run, BatchOutcome& outcome) const;
  void GatherOutputs(const BatchRun& run, BatchOutcome& outcome) const;

  const JobDriverOptions& options_;
  const StagePlan& plan_;
  JobState* state_;
  const Membership* members_;
  const Blame* blame_;
  HolderLookup holders_;
  DeltaLookup deltas_;
  proto::Generation generation_;
  std::vector<proto::Grant::Member> members_in_;
  std::map<std::tuple<int64_t, uint32_t, uint32_t>, uint32_t> apart_;  // map tasks, to members
  std::deque<BatchRun> runs_;
  int64_t last_added_ms_ = 0;
  bool deltas_late_ = false;  // those of the last batch were waited for in vain
};

}  // namespace sluice
