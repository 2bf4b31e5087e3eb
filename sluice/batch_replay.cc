#include "sluice/batch_replay.h"

#include <deque>
#include <set>
#include <utility>

#include "checkpoint/received_objects.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr uint32_t kExecutor = 1;
constexpr char kAddress[] = "replay";

std::string ObjectOfBlock(const proto::BlockName& name) {
  return ObjectOf({name.job_instance(), name.stream(), name.incarnation(), name.number()});
}

}  // namespace

// Received blocks as the checkpoint store has them.
class BatchReplay::Blocks : public BlockReader {
 public:
  explicit Blocks(ObjectStore* objects) : objects_(objects) {}
  absl::StatusOr<std::unique_ptr<BlockBytes>> Read(const proto::BlockInfo& block,
                                                   const proto::GrantedBatch::Holders&) override {
    ASSIGN_OR_RETURN(std::string object, objects_->Get(ObjectOfBlock(block.name())));
    ASSIGN_OR_RETURN(std::string bytes, DecodeReceived(std::move(object)));
    return std::make_unique<OwnedBlock>(std::move(bytes));
  }

 private:
  ObjectStore* const objects_;
};

// In place of every sink.
class BatchReplay::Paper : public OutputStager {
 public:
  absl::Status Stage(const StagedPart& part, const BatchView& records,
                     proto::OutputPart* staged) override {
    ReplayedRows& rows = all.emplace_back();
    rows.output = part.output;
    rows.piece = part.piece;
    for (uint32_t i = 0; i < records.count; ++i) rows.rows.emplace_back(records.record(i));
    staged->set_staged_path("on paper");
    return absl::OkStatus();
  }
  std::vector<ReplayedRows> all;
};

BatchReplay::BatchReplay(const StagePlan* plan, const proto::JobBegun& job, ObjectStore* objects,
                         const StatePartCodec* codec)
    : plan_(plan),
      job_(job),
      objects_(objects),
      codec_(codec),
      blocks_(std::make_unique<Blocks>(objects)),
      paper_(std::make_unique<Paper>()) {
  setup_.plan = plan_;
  setup_.job_instance = job_.job_instance();
  setup_.zero_ms = job_.zero_ms();
  setup_.batch_interval_ms = job_.batch_interval_ms();
  setup_.key_groups = job_.key_groups();
  setup_.blocks = blocks_.get();
  setup_.outputs = paper_.get();
  ExecutorCoreOptions options;
  options.executor = kExecutor;
  options.job_instance = job_.job_instance();
  options.job_driver = "driver";
  options.zero_ms = job_.zero_ms();
  options.batch_interval_ms = job_.batch_interval_ms();
  options.task_max_failures = 1;
  core_ = std::make_unique<ExecutorCore>(std::move(options), plan_);
}

BatchReplay::~BatchReplay() = default;

const std::vector<ReplayedRows>& BatchReplay::rows() const { return paper_->all; }

absl::Status BatchReplay::Load(const Manifest* manifest) {
  proto::Grant grant;
  grant.mutable_generation()->set_epoch(1);
  grant.mutable_generation()->set_number(1);
  grant.set_job_instance(job_.job_instance());
  auto& member = *grant.add_members();
  member.set_executor(kExecutor);
  member.set_address(kAddress);
  member.set_slots(1);
  if (manifest != nullptr) {
    previous_ms_ = manifest->batch_ms;
    grant.set_manifest_batch_ms(manifest->batch_ms);
    for (const StateChain& chain : manifest->chains) {
      auto& out = *grant.add_chains();
      out.set_operator_name(chain.operator_name);
      out.set_partition(chain.partition);
      for (const std::string& part : chain.parts) out.add_parts(part);
    }
  }
  state_ = std::make_unique<StateStore>(plan_);
  load_ = state_->Load(grant, 0, Ownership({1}), objects_, codec_);
  Feed(GrantIn{grant});
  Feed(StateLoaded{{1, 1}, std::string(Message(load_)), true});
  return load_;
}

proto::GrantedBatch BatchReplay::Granted(const proto::ReplayCase::Batch& batch,
                                         bool outputs) const {
  const proto::Composition& composition = batch.composition();
  std::set<std::string> lost;
  for (const proto::BlockName& name : batch.lost()) lost.insert(ObjectOfBlock(name));
  proto::GrantedBatch granted;
  granted.set_batch_ms(composition.batch_ms());
  granted.set_previous_ms(previous_ms_);
  granted.set_rebuild(!outputs);
  *granted.mutable_values() = composition.values();
  *granted.mutable_letters() = composition.letters();
  AddLeftOut(batch, granted);
  for (const auto& source : composition.sources()) {
    auto& stage = *granted.add_stages();
    stage.set_stage(source.stage());
    stage.set_total_tasks(source.tasks_size());
    stage.set_no_dataset(source.no_dataset());
    for (int index = 0; index < source.tasks_size(); ++index) {
      auto& task = *stage.add_tasks();
      task.set_task(index);
      uint64_t lost_records = 0;
      for (const proto::InputPiece& piece : source.tasks(index).pieces()) {
        if (piece.has_block() && lost.contains(ObjectOfBlock(piece.block().name()))) {
          lost_records += piece.block().records();
          continue;
        }
        *task.add_pieces() = piece;
        task.add_lost_records(std::exchange(lost_records, 0));
      }
    }
  }
  return granted;
}

// What was decided. Behind a shuffle the rows of a batch that lacks blocks are others.
void BatchReplay::AddLeftOut(const proto::ReplayCase::Batch& batch,
                             proto::GrantedBatch& granted) const {
  *granted.mutable_left_out() = batch.decided().left_out();
  granted.set_lacks_blocks(!batch.lost().empty());
  if (!granted.lacks_blocks()) return;
  for (proto::LeftOut& left : *granted.mutable_left_out()) {
    if (!plan_->stages()[left.stage()].is_source) left.clear_records();
  }
}

absl::StatusOr<proto::BatchReport> BatchReplay::Run(const proto::ReplayCase::Batch& batch,
                                                    bool outputs) {
  // Which rows to leave out of one that lacks blocks is found anew, if it was decided.
  setup_.bad_records_max = batch.has_decided() && !batch.lost().empty() ? UINT32_MAX : 0;
  runner_ = std::make_unique<TaskRunner>(setup_, 0);
  paper_->all.clear();
  reports_.clear();
  missing_.clear();
  proto::BatchGrant grant;
  grant.mutable_generation()->set_epoch(1);
  grant.mutable_generation()->set_number(1);
  grant.set_decided_ms(previous_ms_);
  grant.set_effects_ms(batch.composition().batch_ms());
  *grant.add_batches() = Granted(batch, outputs && !plan_->graph().has_task_effects());
  Feed(BatchGrantIn{std::move(grant)});
  if (!missing_.empty()) return absl::NotFoundError(missing_);
  if (reports_.empty()) return absl::InternalError("the batch did not come to its end");
  previous_ms_ = batch.composition().batch_ms();
  const proto::BatchReport& report = reports_.back();
  if (!report.has_failure()) return report;
  return absl::AbortedError("operator " + report.failure().operator_name() + ", task " +
                            std::to_string(report.failure().task()) + " of stage " +
                            std::to_string(report.failure().stage()) + ", from " +
                            report.failure().source() + ": " + report.failure().cause());
}

// Carries out at once what follows from an event, in order.
void BatchReplay::Feed(ExecutorEvent event) {
  std::deque<ExecutorCommand> due;
  for (ExecutorCommand& command : core_->Step(++now_, std::move(event))) {
    due.push_back(std::move(command));
  }
  for (ExecutorCommand& command : due) {
    if (auto* run = std::get_if<RunTasks>(&command)) {
      Do(*run);
    } else if (auto* merge = std::get_if<MergeLayers>(&command)) {
      state_->MergeUpTo(merge->batch_ms);
    } else if (auto* send = std::get_if<Send>(&command)) {
      if (send->message.has_batch_report()) reports_.push_back(send->message.batch_report());
    }
  }
}

void BatchReplay::Do(RunTasks& run) {
  TasksEnded ended{run.generation, run.batch_ms, run.stage, {}, {}};
  for (const TaskWork& work : run.tasks) {
    TaskOutcome outcome = runner_->Run(run, work, *state_);
    if (auto* result = std::get_if<TaskResult>(&outcome)) {
      ended.results.push_back(std::move(*result));
      continue;
    }
    FailedTask& failed = std::get<FailedTask>(outcome);
    if (!failed.own_fault && missing_.empty()) {
      missing_ = failed.failure.source() + ": " + failed.failure.cause();
    }
    ended.failed.push_back(std::move(failed));
  }
  if (missing_.empty()) Feed(std::move(ended));
}

}  // namespace sluice
