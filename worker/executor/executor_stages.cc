// The executor's core: which stage of which batch runs when, and what becomes of its results.
#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "common/delta_stream.h"
#include "common/mutations.h"
#include "worker/executor/executor_core.h"
#include "worker/executor/partition_runs.h"

namespace sluice {
namespace {

// Of a report; the largest message has room for a little more.
constexpr uint64_t kReportBytesMax = uint64_t{64} << 20;

}  // namespace

// Starts whatever may start, oldest batch first, until nothing changes.
void ExecutorCore::Advance() {
  if (!loaded_) return;
  bool changed = true;
  while (changed) {
    changed = false;
    for (auto& [batch_ms, batch] : batches_) changed |= AdvanceBatch(batch);
  }
}

bool ExecutorCore::AdvanceBatch(BatchWork& batch) {
  if (batch.finished) return false;
  bool changed = false;
  bool all_done = true;
  for (const Stage& stage : plan_->stages()) {
    StageWork& work = batch.stages[stage.id];
    if (work.state == StageWork::State::kWaiting && MayRun(batch, stage)) {
      StartStage(batch, stage);
      changed = true;
    } else if (work.state == StageWork::State::kRetry && work.retry_at <= now_) {
      Launch(batch, stage, std::exchange(work.again, {}));
    }
    all_done &= work.state == StageWork::State::kDone;
  }
  if (!all_done) return changed;
  batch.finished = true;
  batch.reported = true;
  shares_.Drop(batch.granted->batch_ms());
  if (options_.deltas != 0) SealDeltaOf(batch);
  SendReport(batch);
  return true;
}

// The batch on whose state this one builds; null when that is over. `known` tells whether it has
// been heard of at all.
const BatchWork* ExecutorCore::Predecessor(const BatchWork& batch, bool& known) const {
  const auto it = batches_.find(batch.granted->batch_ms());
  const int64_t named = batch.granted->previous_ms();
  known = true;
  if (it == batches_.begin()) {
    known = named <= released_ms_;
    return nullptr;
  }
  const auto before = std::prev(it);
  known = named == 0 || named == before->first;
  return &before->second;
}

bool ExecutorCore::MayRun(const BatchWork& batch, const Stage& stage) const {
  bool known = false;
  const BatchWork* before = Predecessor(batch, known);
  if (!known) return false;
  if (before != nullptr) {
    if (before->stages[stage.id].state != StageWork::State::kDone) return false;
    if (stage.is_source && !before->finished) {
      const BatchWork* earlier = Predecessor(*before, known);
      if (!known || (earlier != nullptr && !earlier->finished)) return false;
    }
  }
  return (stage.is_source || SharesAreIn(batch, stage)) && EffectsAllowed(batch, stage);
}

bool ExecutorCore::EffectsAllowed(const BatchWork& batch, const Stage& stage) const {
  if (batch.granted->rebuild() || batch.granted->batch_ms() <= effects_ms_) return true;
  if (kMutationEffectsNotHeldBack) return true;
  return std::none_of(
      stage.output_pieces.begin(), stage.output_pieces.end(), [&](uint32_t index) {
        const OutputPiece& piece = plan_->output_pieces()[index];
        return plan_->graph().outputs()[piece.output].kind == OutputKind::kForeachPartition &&
               batch.presence->Has(piece.from);
      });
}

bool ExecutorCore::SharesAreIn(const BatchWork& batch, const Stage& stage) const {
  for (const EdgeId edge : stage.edges_in) {
    const FragmentId fragment = plan_->edges()[edge].from;
    if (!batch.presence->Has(fragment)) continue;
    const StageId from = plan_->fragments()[fragment].stage;
    for (const Member& member : members_) {
      if (!shares_.Complete(batch.granted->batch_ms(), from, member.info.executor())) return false;
    }
  }
  return true;
}

void ExecutorCore::StartStage(BatchWork& batch, const Stage& stage) {
  std::vector<uint32_t> tasks;
  if (batch.presence->Runs(stage.id)) tasks = OwnTasks(batch, stage);
  if (stage.is_source) {
    std::erase_if(tasks, [&](uint32_t task) { return TakeTaken(batch, stage.id, task); });
  }
  if (tasks.empty()) {
    FinishStage(batch, stage);
  } else {
    Launch(batch, stage, tasks);
  }
}

std::vector<uint32_t> ExecutorCore::OwnTasks(const BatchWork& batch, const Stage& stage) const {
  std::vector<uint32_t> tasks;
  if (!stage.is_source) {
    for (uint32_t p = 0; p < stage.partitions; ++p) {
      if (owners_->OwnerOf(stage.id, p, stage.partitions) == me_) tasks.push_back(p);
    }
    return tasks;
  }
  for (const auto& source : batch.granted->stages()) {
    if (source.stage() != stage.id) continue;
    for (const auto& task : source.tasks()) tasks.push_back(task.task());
  }
  return tasks;
}

void ExecutorCore::Launch(BatchWork& batch, const Stage& stage,
                          const std::vector<uint32_t>& tasks) {
  StageWork& work = batch.stages[stage.id];
  work.state = StageWork::State::kRunning;
  work.launched = now_;
  RunTasks command;
  command.generation = generation_;
  command.batch_ms = batch.granted->batch_ms();
  command.presence = batch.presence;
  command.stage = stage.id;
  command.rebuild = batch.granted->rebuild();
  command.batch = batch.granted;
  for (const uint32_t task : tasks) {
    TaskWork& one = command.tasks.emplace_back();
    one.task = task;
    const auto failures = work.failures.find(task);
    if (failures != work.failures.end()) one.attempt = failures->second;
  }
  if (stage.is_source) {
    for (const auto& source : batch.granted->stages()) {
      if (source.stage() != stage.id) continue;
      for (const auto& input : source.tasks()) {
        for (TaskWork& one : command.tasks) {
          if (one.task == input.task()) one.input = &input;
        }
      }
    }
  } else {
    AddShares(batch, stage, command);
  }
  out_.push_back(std::move(command));
}

// Hands every task of a shuffle stage its shares, in the order in which they are folded.
void ExecutorCore::AddShares(const BatchWork& batch, const Stage& stage,
                             RunTasks& command) const {
  for (const StageId from : stage.upstream) {
    shares_.Collect(batch.granted->batch_ms(), from, command.bundles);
  }
  std::vector<TaskWork*> work_of(stage.partitions, nullptr);
  for (TaskWork& work : command.tasks) work_of[work.task] = &work;
  for (const auto& bundle : command.bundles) {
    for (const auto& share : bundle->shares()) {
      const bool ours = share.edge() < plan_->edges().size() &&
                        plan_->stage_of(share.edge()).id == stage.id &&
                        share.partition() < work_of.size();
      if (ours && work_of[share.partition()] != nullptr) {
        work_of[share.partition()]->shares.push_back(&share);
      }
    }
  }
  for (TaskWork& work : command.tasks) {
    // The pieces of one share come from one sender, in order.
    std::stable_sort(work.shares.begin(), work.shares.end(), [](const auto* a, const auto* b) {
      return std::pair(a->edge(), a->task()) < std::pair(b->edge(), b->task());
    });
  }
}

void ExecutorCore::FinishStage(BatchWork& batch, const Stage& stage) {
  StageWork& work = batch.stages[stage.id];
  work.state = StageWork::State::kDone;
  std::vector<TaskResult> results = std::exchange(work.results, {});
  std::sort(results.begin(), results.end(),
            [](const TaskResult& a, const TaskResult& b) { return a.task < b.task; });
  CountResults(batch, stage, results);
  SendBundles(batch, stage, results);
}

void ExecutorCore::CountResults(BatchWork& batch, const Stage& stage,
                                std::vector<TaskResult>& results) {
  proto::BatchReport& report = batch.report;
  std::map<EdgeId, proto::EdgeCount> edges;
  std::map<std::string, proto::StateDigest> states;
  proto::SourceCount read;
  for (TaskResult& result : results) {
    read.set_records(read.records() + result.records_read);
    read.set_bytes(read.bytes() + result.bytes_read);
    for (const OutShare& share : result.shares) {
      edges[share.edge].set_pushed(edges[share.edge].pushed() + share.records);
    }
    for (const auto& [edge, records] : result.folded) {
      edges[edge].set_folded(edges[edge].folded() + records);
    }
    if (!result.delta.empty()) {
      batch.delta.push_back(std::move(result.delta));
      batch.delta_partitions.insert(result.task);
    }
    for (auto& output : result.outputs) *report.add_outputs() = std::move(output);
    if (result.left_out.has_value()) *report.add_left_out() = *std::move(result.left_out);
    for (auto& letter : result.letters) *report.add_letters() = std::move(letter);
    for (const auto& state : result.states) {
      proto::StateDigest& sum = states[state.operator_name()];
      sum.set_digest(sum.digest() + state.digest());
      sum.set_entries(sum.entries() + state.entries());
    }
  }
  for (const auto& [task, executor] : batch.stages[stage.id].taken) {
    const auto& result =
        shares_.CopyBy(batch.granted->batch_ms(), stage.id, task, executor)->copy_result();
    read.set_records(read.records() + result.records_read());
    read.set_bytes(read.bytes() + result.bytes_read());
    for (const auto& edge : result.edges()) {
      edges[edge.edge()].set_pushed(edges[edge.edge()].pushed() + edge.pushed());
    }
    if (result.has_left_out()) *report.add_left_out() = result.left_out();
    report.mutable_letters()->MergeFrom(result.letters());
    report.set_outrun(report.outrun() + 1);
  }
  if (stage.is_source || read.records() > 0) {
    read.set_stage(stage.id);
    *report.add_sources() = read;
  }
  for (auto& known : *report.mutable_edges()) {
    const auto it = edges.find(known.edge());
    if (it == edges.end()) continue;
    known.set_pushed(known.pushed() + it->second.pushed());
    known.set_folded(known.folded() + it->second.folded());
    edges.erase(it);
  }
  for (auto& [edge, count] : edges) {
    count.set_edge(edge);
    *report.add_edges() = count;
  }
  for (auto& [name, sum] : states) {
    sum.set_operator_name(name);
    *report.add_states() = sum;
  }
}

bool ExecutorCore::Sends(const BatchWork& batch, const Stage& stage) const {
  return std::any_of(stage.edges_out.begin(), stage.edges_out.end(), [&](EdgeId edge) {
    return batch.presence->Has(plan_->edges()[edge].from);
  });
}

void ExecutorCore::SendBundles(BatchWork& batch, const Stage& stage,
                               std::vector<TaskResult>& results) {
  if (!Sends(batch, stage)) return;
  BundleHead head;
  head.generation = generation_;
  head.job_instance = options_.job_instance;
  head.batch_ms = batch.granted->batch_ms();
  head.stage = stage.id;
  head.from_executor = options_.executor;
  head.took_us = batch.stages[stage.id].took_us;
  head.copied = batch.stages[stage.id].taken;
  Distribute(batch, head, results);
}

void ExecutorCore::Distribute(BatchWork& batch, const BundleHead& head,
                              std::vector<TaskResult>& results) {
  auto bundles = MakeBundles(head, *plan_, *owners_, options_.chunk_bytes, results);
  for (uint32_t i = 0; i < members_.size(); ++i) {
    for (auto& chunk : bundles[i]) {
      if (i == me_) {
        shares_.Add(std::move(chunk));
        continue;
      }
      out_.push_back(SendBundle{members_[i].info.address(), chunk});
      batch.sent[i].push_back(std::move(chunk));
    }
  }
  batch.bundles_due = now_ + batch.bundles_pause_us;
}

void ExecutorCore::FailBatch(BatchWork& batch, const proto::TaskFailure& failure) {
  *batch.report.mutable_failure() = failure;
  batch.reported = true;
  SendReport(batch);
}

// A report that no message can carry would be repeated for ever: the batch fails instead.
void ExecutorCore::RefuseTooLarge(proto::BatchReport& report) const {
  if (report.ByteSizeLong() <= kReportBytesMax) return;
  uint64_t letters = 0;
  for (const auto& letter : report.letters()) letters += letter.ByteSizeLong();
  if (letters > kReportBytesMax / 2) {
    proto::TaskFailure failure;
    failure.set_operator_name(report.letters(0).operator_name());
    failure.set_task(report.letters(0).task());
    failure.set_record(-1);
    failure.set_cause("the bad records are " + std::to_string(letters) +
                      " bytes on one executor: " + report.letters(0).error());
    report.clear_letters();
    *report.mutable_failure() = std::move(failure);
    return;
  }
  const proto::OutputPart* largest = nullptr;
  for (const auto& part : report.outputs()) {
    if (largest == nullptr || part.ByteSizeLong() > largest->ByteSizeLong()) largest = &part;
  }
  if (largest == nullptr) return;
  proto::TaskFailure failure;
  failure.set_operator_name(plan_->graph().outputs()[largest->output()].label);
  failure.set_task(largest->piece());
  failure.set_record(-1);
  failure.set_cause("the rows for the job driver are " + std::to_string(report.ByteSizeLong()) +
                    " bytes on one executor, above " + std::to_string(kReportBytesMax) +
                    ": write them where they are, with ForeachPartition or SaveAsTextFiles");
  report.clear_outputs();
  *report.mutable_failure() = std::move(failure);
}

void ExecutorCore::SealDeltaOf(BatchWork& batch) {
  uint64_t bytes = 0;
  for (const std::string& piece : batch.delta) bytes += piece.size();
  if (bytes > options_.delta_bytes_max ||
      unsealed_bytes_ + bytes > options_.unsealed_bytes_max) {
    batch.report.set_without_delta(true);
    batch.delta.clear();
  }
  if (batch.delta.empty()) return;
  proto::BlockName& name = *batch.report.mutable_delta();
  name.set_job_instance(options_.job_instance);
  name.set_stream(kDeltaStream);
  name.set_incarnation(options_.deltas);
  name.set_number(++last_delta_);
  auto pieces = std::make_shared<const std::vector<std::string>>(std::move(batch.delta));
  batch.delta.clear();
  seals_.push_back({{name, std::move(pieces), RunsOf(batch.delta_partitions)},
                    bytes,
                    now_ + options_.answer_repeat_us,
                    options_.answer_repeat_us});
  unsealed_bytes_ += bytes;
  out_.push_back(seals_.back().command);
}

void ExecutorCore::SendReport(BatchWork& batch) {
  batch.report_sent = now_;
  RefuseTooLarge(batch.report);
  if (batch.report.processing_us() == 0) batch.report.set_processing_us(now_ - batch.started);
  proto::Envelope message;
  *message.mutable_batch_report() = batch.report;
  SendToDriver(std::move(message));
}

}  // namespace sluice
