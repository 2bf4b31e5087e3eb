// The job driver's decisions: what each batch holds, who runs it, when it is decided, when a
// generation begins, when the job ends. Pure: no I/O, no threads, no clock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/plan/stages.h"
#include "driver/job/batch_events.h"
#include "driver/job/batch_runner.h"
#include "driver/job/blame.h"
#include "driver/job/block_desk.h"
#include "driver/job/checkpointer.h"
#include "driver/job/commands.h"
#include "driver/job/file_watch.h"
#include "driver/job/input_keeper.h"
#include "driver/job/job_options.h"
#include "driver/job/job_state.h"
#include "driver/job/letter_keeper.h"
#include "driver/job/load_watch.h"
#include "driver/job/log_queue.h"
#include "driver/job/membership.h"
#include "driver/job/output_marks.h"
#include "driver/job/producer_desk.h"
#include "driver/job/program.h"
#include "driver/job/publisher.h"
#include "driver/job/receiver_losses.h"
#include "driver/job/receiver_rates.h"
#include "driver/job/slow_workers.h"
#include "driver/job/suspicions.h"
#include "driver/job/tick_clock.h"

namespace sluice {

// What the store said when the epoch was opened.
struct RecoveredJob {
  JobState state;
  uint64_t epoch = 1;
  uint64_t next_slot = 1;
  PartChains chains;            // of the newest valid manifest
  proto::ProgramSeen checkpoint_program;  // the program that made it
  int64_t manifest_ms = 0;      // its batch; 0: there is none
  bool fell_back = false;       // a newer one is damaged or missing
  uint64_t manifest_branch = 0;    // of the state in it
  std::string manifest;
  std::set<std::string> binaries;  // digests of the programs that its checkpoints and log are of
};

// Another shape is possible now: all that was planned is decided, and where there is state, a
// checkpoint has that of the last batch.
bool MayReshape(const RecoveredJob& job, const LineageGraph& graph);

// Not thread-safe. The same events in the same order give the same commands.
class JobDriverCore {
 public:
  // `graph` outlives the core. `init` holds constants and configuration for executors; `random`
  // gives receiver incarnations and, for a new job, its instance.
  JobDriverCore(JobDriverOptions options, const LineageGraph& graph, proto::ExecutorInit init,
                RecoveredJob recovered, std::function<uint64_t()> random);

  std::vector<DriverCommand> Step(MonotonicTime now, const DriverEvent& event);
  // When a TimerDue is wanted at the latest.
  MonotonicTime NextTimer(MonotonicTime now) const;

  const JobState& state() const { return state_; }
  const BlockDesk& blocks() const { return blocks_; }
  const Membership& members() const { return members_; }
  proto::JobStatus Status() const;
  bool ended() const { return ended_; }
  // Nothing is due, under way, or decided and not yet published; no checkpoint is being taken.
  bool Settled(MonotonicTime now) const;

 private:
  enum class Phase { kForming, kGranting, kRunning };

  void OnMessage(MonotonicTime now, const MessageIn& in);
  void JudgeSuspicions(MonotonicTime now);
  void WatchLog(MonotonicTime now);
  void OnDaemonMessage(MonotonicTime now, const proto::Envelope& m);
  void OnWorkerMessage(MonotonicTime now, const std::string& from, const proto::Envelope& m);
  void OnExecutorMessage(MonotonicTime now, const std::string& from, const proto::Envelope& m);
  void OnCopyDiffers(const proto::CopyDiffers& differs);
  void OnSuspect(MonotonicTime now, const proto::SuspectPeer& suspect);
  void TakeNews(MonotonicTime now, const MembershipNews& news);
  void Advance(MonotonicTime now);
  // Executors that ended, and what it says of their tasks (crashes.cc).
  void OnExited(MonotonicTime now, const std::string& from, const proto::ExecutorExited& exited);
  void JudgeStart(const proto::ExecutorExited& exited);
  void OnRefused(MonotonicTime now, const MembershipNews::Refusal& refused);
  void JudgeStarts();
  // Whether outputs can be written, and the marks by which executors see that (output_marks.h).
  void OnMarked(const OutputsMarked& marked);
  void AdvanceMarks();
  std::string Describe(const TaskName& task) const;
  void ForgetBlame(MonotonicTime now, int64_t up_to_batch_ms);
  // Job life (job_life.cc).
  void BeginJob();
  void TakeChains(RecoveredJob& recovered);
  void SetAside(uint32_t executor, const std::string& damage);
  void AdvanceSetAside(MonotonicTime now);
  void OnSetAside(MonotonicTime now, const KeptAside& kept);
  void OnStop(MonotonicTime now, const StopRequested& stop);
  void AdvanceStop(MonotonicTime now);
  void AdvanceCancel(MonotonicTime now);
  void SealDecided(MonotonicTime now);
  void Reshape();
  void AdvanceFinishing(MonotonicTime now);
  void Fail(int exit_code, const std::string& message);
  void End(int exit_code, const std::string& state, const std::string& message);
  // Lost blocks (lost_blocks.cc).
  bool GoesOnWithout(const BlockId& key) const;
  void WatchLosses(MonotonicTime now);
  void AcceptLosses(const std::vector<BlockId>& lost);
  void SendStatus(MonotonicTime now);
  void MarkStore(MonotonicTime now);
  void OnMarked(MonotonicTime now, const KeptAside& kept);
  std::string StateName() const;
  std::string Problem() const;
  // Generations (generation.cc).
  void AdvanceGeneration(MonotonicTime now);
  void StartGeneration(MonotonicTime now);
  void SetApart(uint32_t member);
  std::string WhyNoDeltas() const;
  void NameDeltas();
  void SendGrants(MonotonicTime now);
  void JudgeLoads(MonotonicTime now);
  void OnGrantDone(MonotonicTime now, const proto::GrantDone& done);
  void RunGeneration(MonotonicTime now);
  // Letters (letters.cc).
  void OnReplay(const proto::ReplayLetters& replay);
  absl::Status TakesLetter(const proto::Letter& letter) const;
  std::optional<uint32_t> StageOfLetter(const proto::Letter& letter) const;
  void SayLetters(const proto::Decided& decided);
  void SayLettersOwed();
  void ReportLetters(proto::JobStatus& status) const;
  // Ticks and batches (batches.cc).
  void AdvanceTick(MonotonicTime now);
  bool TooFarFromCheckpoint() const;
  bool MayLagFurther(MonotonicTime now) const;
  void BeginTick(MonotonicTime now, int64_t batch_ms);
  void FreezeBatch(MonotonicTime now);
  void WarnOfLateSources(MonotonicTime now);
  void AdvanceRuns(MonotonicTime now);
  void TellProgress(MonotonicTime now, const Progress& progress);
  bool FinishRun(MonotonicTime now, BatchRun& run);
  void JudgeWorkers(const BatchRun& run);
  bool RunForeachOf(const BatchRun& run, const BatchOutcome& outcome);
  bool EffectsAllowed(int64_t batch_ms) const;
  Progress ProgressOfRuns() const;
  bool IsSkipped(int64_t batch_ms) const;
  void OnForeachFailed(MonotonicTime now, const ForeachDone& done);
  void OnBatchFailed(MonotonicTime now, int64_t batch_ms, const std::string& cause);
  void AdvanceSkip(MonotonicTime now);
  void BeginCheckpoint(MonotonicTime now, int64_t batch_ms);
  void AfterSeal();
  bool stateful() const;

  JobDriverOptions options_;
  const LineageGraph& graph_;
  proto::ExecutorInit init_;
  const uint64_t epoch_;
  const std::set<std::string> former_binaries_;
  std::function<uint64_t()> random_;
  JobState state_;
  LogQueue log_;
  Membership members_;
  OutputMarks marks_;
  BlockDesk blocks_;
  ProducerDesk producers_;
  Roller roller_;
  Publisher publisher_;
  Checkpointer checkpointer_;
  InputKeeper keeper_;
  LetterKeeper letters_;
  proto::LettersReplayed::Answer replay_answer_;  // to the last wish, also of a former epoch,
  uint64_t replay_sequence_ = 0;                  // given when this entry is durable
  ReceiverLosses losses_;
  SlowWorkers slow_workers_;
  ReceiverRates rates_;
  MonotonicTime held_since_ = 0;  // since when a tick is due and held back; 0: none is
  TickClock ticks_;
  std::unique_ptr<StagePlan> plan_;
  std::unique_ptr<BatchRunner> runner_;
  std::unique_ptr<FileWatch> files_;
  std::unique_ptr<BatchEvents> events_;
  std::vector<DriverCommand> out_;

  Phase phase_ = Phase::kForming;
  bool new_generation_wanted_ = true;
  uint64_t generation_ = 0;
  LoadWatch loads_;
  MonotonicTime grant_sent_ = 0;
  proto::Grant grant_;
  int imbalances_ = 0;
  uint64_t copies_ = 0;         // of tasks that were late,
  uint64_t copies_won_ = 0;     // that were first,
  uint64_t copies_differ_ = 0;  // and that made something else
  int64_t deltas_lost_ms_ = 0;  // of batches up to this one they are of no use
  uint64_t branch_ = 0;         // of the state that this generation has, as Decided names it

  struct Tick {
    int64_t batch_ms = 0;  // 0: none in progress
    std::set<std::string> seals_waiting;
    bool takes_rests = false;  // no receiver lives: it waits for what they left with the daemons
    bool listed = false;
    MonotonicTime deadline = 0;
    MonotonicTime begun = 0;
    bool in_time = false;
    bool late = false;  // that its sources do not answer was said
    SourcesListed sources;
  } tick_;
  int64_t wall_ms_ = 0;           // as the last timer saw it
  MonotonicTime wall_seen_ = 0;   // when that was
  int64_t collected_ms_ = 0;
  Progress told_;  // what executors know
  MonotonicTime told_at_ = 0;
  std::map<int64_t, MonotonicTime> planned_at_;
  MonotonicTime frozen_at_ = 0;  // when the last batch was planned
  int64_t scheduling_delay_ms_ = 0;
  Blame blame_;
  Suspicions suspicions_;       // of executors about each other

  bool ever_ran_ = false;
  bool ever_up_ = false;
  bool begun_ = false;
  bool registered_ = false;
  MonotonicTime register_sent_ = 0;
  std::string daemon_;          // where the driver daemon is that leads; empty: there is none
  uint64_t daemon_epoch_ = 0;   // the highest of one that was heard of
  bool stopping_ = false;
  bool cancel_ = false;
  bool receivers_stopped_ = false;
  int64_t final_ms_ = 0;  // last batch of a stopping job; 0: not planned yet
  MonotonicTime stop_deadline_ = 0;
  MonotonicTime finish_again_at_ = 0;
  uint64_t sealing_generation_ = 0;  // the latest that runs decided batches only; 0: none
  std::string cannot_seal_;          // why it leaves no checkpoint; empty: it may
  bool ended_ = false;
  int exit_code_ = 0;
  std::string end_state_;
  std::string failure_;
  ProgramChange program_change_;  // since the checkpoint that this driver began with
  MonotonicTime loss_checked_ = 0;
  std::string damage_;          // of the checkpoint that the job is at; it is being set aside
  uint32_t found_damage_ = 0;   // the executor that says so
  MonotonicTime aside_due_ = 0;
  MonotonicTime mark_due_ = 0;  // of the store; kNever: it is marked
  uint64_t log_slot_ = 0;       // that an append waits for, 0: none,
  MonotonicTime log_since_ = 0;  // and since when
  bool log_late_ = false;
  std::string last_status_;
  MonotonicTime status_sent_ = 0;
};

}  // namespace sluice
