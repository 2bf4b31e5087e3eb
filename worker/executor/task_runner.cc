#include "worker/executor/task_runner.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <new>
#include <utility>

#include "common/encoded_batch.h"
#include "common/plan/task_seed.h"
#include "common/status.h"
#include "worker/executor/careful_run.h"
#include "worker/executor/hiding_state.h"
#include "worker/executor/state_delta.h"

namespace sluice {

TaskRunner::TaskRunner(const TaskSetup& setup, uint32_t slot)
    : setup_(setup),
      slot_(slot),
      datasets_(setup.plan->fragments().size()),
      shuffle_kernels_(setup.plan->edges().size()),
      operators_(setup.plan->stages().size()) {}
TaskRunner::~TaskRunner() = default;

TaskOutcome TaskRunner::Run(const RunTasks& run, const TaskWork& work, StateStore& state) {
  try {
    return RunWithLetters(run, work, state);
  } catch (const StateLost& lost) {
    if (setup_.board != nullptr) setup_.board->End(slot_);
    if (setup_.state_lost != nullptr) setup_.state_lost(lost.what());
    ForgetTask(true);
    return Failure(run, work, absl::InternalError(lost.what()));
  }
}

TaskOutcome TaskRunner::RunWithLetters(const RunTasks& run, const TaskWork& work,
                                       StateStore& state) {
  if (setup_.board != nullptr) {
    setup_.board->Begin(slot_, run.batch_ms, run.stage, work.task);
  }
  TakeLeftOut(run, work, state);
  Ended ended = Try(run, work, state);
  const Stage& stage = setup_.plan->stages()[run.stage];
  const bool decided = run.rebuild && (stage.is_source || !run.batch->lacks_blocks());
  if (ended.threw && setup_.bad_records_max > 0 && !decided) {
    ended = RunCarefully(run, work, state, std::move(ended));
  }
  if (setup_.board != nullptr) setup_.board->End(slot_);
  if (!ended.status.ok()) return Failure(run, work, ended.status);
  if (!run.rebuild) TellLeftOut(run, work);
  return std::exchange(result_, TaskResult{});
}

TaskRunner::Ended TaskRunner::Try(const RunTasks& run, const TaskWork& work, StateStore& state) {
  Ended ended;
  at_ = At::kInput;
  try {
    ended.status = RunTask(run, work, state);
  } catch (const StateLost&) {  // no fault of the task's
    throw;
  } catch (const std::bad_alloc& e) {
    ended.status = absl::UnknownError(e.what());
  } catch (const std::exception& e) {
    ended = {absl::UnknownError(e.what()), true};
  } catch (...) {
    ended = {absl::UnknownError(kNoException), true};
  }
  ForgetTask(!ended.status.ok());
  return ended;
}

// Whatever threw may have left its object half way.
void TaskRunner::ForgetTask(bool kernels_too) {
  for (Dataset& dataset : datasets_) dataset.readers = 0;
  input_.Clear();
  kept_.clear();
  if (!kernels_too) return;
  for (auto& kernel : shuffle_kernels_) kernel.reset();
  for (auto& one : operators_) one.reset();
}

FailedTask TaskRunner::Failure(const RunTasks& run, const TaskWork& work,
                               const absl::Status& status) const {
  FailedTask failed;
  failed.task = work.task;
  failed.own_fault = !absl::IsUnavailable(status);
  failed.failure.set_stage(run.stage);
  failed.failure.set_task(work.task);
  failed.failure.set_operator_name(operator_);
  failed.failure.set_cause(std::string(Message(status)));
  failed.failure.set_record(-1);  // operators are fused: no record is known
  failed.failure.set_source(work.input != nullptr ? DescribePieces(*work.input)
                                                  : "partition " + std::to_string(work.task));
  return failed;
}

void TaskRunner::SetContext(const RunTasks& run, const TaskWork& work) {
  context_.batch_ms = run.batch_ms;
  context_.zero_ms = setup_.zero_ms;
  context_.batch_interval_ms = setup_.batch_interval_ms;
  context_.stage = run.stage;
  context_.task = work.task;
  context_.total_tasks = TotalTasks(setup_.plan->stages()[run.stage], run);
  context_.key_groups = setup_.key_groups;
  context_.job_instance = setup_.job_instance;
  context_.fence = FenceOf(run.generation.epoch, run.generation.number);
  values_.assign(run.batch->values().begin(), run.batch->values().end());
  context_.values = values_;
  task_seed_ = TaskSeed(setup_.job_instance, run.batch_ms, run.stage, work.task);
}

void TaskRunner::SeedFor(FragmentId read) {
  context_.random_seed = SeedOnWay(task_seed_, setup_.plan->fragments()[read].way);
}

absl::Status TaskRunner::RunTask(const RunTasks& run, const TaskWork& work, StateStore& state) {
  const Stage& stage = setup_.plan->stages()[run.stage];
  SetContext(run, work);
  const CurrentTaskScope scope(context_);
  result_ = TaskResult{};
  result_.task = work.task;
  StateStore::Attempt attempt = state.Open(run.stage, work.task);
  RETURN_IF_ERROR(RunRoot(stage, run, work, attempt));
  if (!left_.records.empty()) LeaveOutRecords(stage, run, work);
  RETURN_IF_ERROR(RunRest(stage, run));
  if (attempt.state() == nullptr) return absl::OkStatus();
  const std::string& name = setup_.plan->graph().node(stage.root).state_name;
  const auto add = [&](const StateRow& row) {
    if (result_.delta.empty()) result_.delta = DeltaHead(name, work.task);
    AppendDelta(row, result_.delta);
  };
  const bool wanted = setup_.deltas && !run.rebuild;
  const LayerDigest digest =
      attempt.Keep(run.batch_ms, wanted ? std::function<void(const StateRow&)>(add) : nullptr);
  proto::StateDigest& told = result_.states.emplace_back();
  told.set_operator_name(name);
  told.set_digest(digest.digest);
  told.set_entries(digest.entries);
  return absl::OkStatus();
}

// All but the root, whose dataset is there.
absl::Status TaskRunner::RunRest(const Stage& stage, const RunTasks& run) {
  at_ = At::kRecords;
  CountReaders(stage, run);
  for (const FragmentId id : stage.fragments) {
    if (datasets_[id].readers == 0) continue;
    const Fragment& fragment = setup_.plan->fragments()[id];
    if (fragment.input >= 0) RunFragment(fragment);
    for (const EdgeId edge : stage.edges_out) {
      if (setup_.plan->edges()[edge].from == id && run.presence->Has(id)) {
        RETURN_IF_ERROR(RunEdge(setup_.plan->edges()[edge]));
      }
    }
    for (const uint32_t piece : stage.output_pieces) {
      const OutputPiece& output = setup_.plan->output_pieces()[piece];
      if (output.from != id || !CountsOutput(output, run) || IsEffect(output)) continue;
      MakeRows(output, rows_);
      if (!probing_) RETURN_IF_ERROR(AddOutput(piece, run, rows_.view()));
    }
  }
  return RunEffects(stage, run);
}

// Behind all else, and when the rows of all of them are there: what throws until then may be left
// out, and the task run again; what has happened outside cannot be taken back.
absl::Status TaskRunner::RunEffects(const Stage& stage, const RunTasks& run) {
  size_t count = 0;
  std::vector<uint32_t> pieces;
  for (const uint32_t piece : stage.output_pieces) {
    const OutputPiece& output = setup_.plan->output_pieces()[piece];
    if (!CountsOutput(output, run) || !IsEffect(output)) continue;
    if (count == effect_rows_.size()) effect_rows_.emplace_back();
    MakeRows(output, effect_rows_[count++]);
    pieces.push_back(piece);
  }
  if (probing_) return absl::OkStatus();
  for (size_t i = 0; i < pieces.size(); ++i) {
    RETURN_IF_ERROR(AddOutput(pieces[i], run, effect_rows_[i].view()));
  }
  return absl::OkStatus();
}

bool TaskRunner::IsEffect(const OutputPiece& piece) const {
  return setup_.plan->graph().outputs()[piece.output].kind == OutputKind::kForeachPartition;
}

bool TaskRunner::CountsOutput(const OutputPiece& piece, const RunTasks& run) const {
  return !run.rebuild && run.presence->Has(piece.from);
}

// Who reads which dataset in this batch; what nobody reads is not computed.
void TaskRunner::CountReaders(const Stage& stage, const RunTasks& run) {
  for (const FragmentId id : stage.fragments) datasets_[id].readers = 0;
  for (const EdgeId edge : stage.edges_out) {
    const FragmentId from = setup_.plan->edges()[edge].from;
    if (run.presence->Has(from)) ++datasets_[from].readers;
  }
  for (const uint32_t index : stage.output_pieces) {
    const OutputPiece& piece = setup_.plan->output_pieces()[index];
    if (CountsOutput(piece, run)) ++datasets_[piece.from].readers;
  }
  for (size_t i = stage.fragments.size(); i-- > 0;) {  // children come after their parents
    const Fragment& fragment = setup_.plan->fragments()[stage.fragments[i]];
    if (fragment.input >= 0 && datasets_[fragment.id].readers > 0) {
      ++datasets_[fragment.parent].readers;
    }
  }
}

void TaskRunner::DoneReading(FragmentId fragment) {
  Dataset& dataset = datasets_[fragment];
  if (--dataset.readers > 0) return;
  dataset.views.clear();
  dataset.buffer.Clear();
  const bool root = setup_.plan->fragments()[fragment].input < 0;
  if (root && !probing_) input_.Clear();  // blocks can go
}

absl::Status TaskRunner::RunRoot(const Stage& stage, const RunTasks& run, const TaskWork& work,
                                 StateStore::Attempt& attempt) {
  operator_ = setup_.plan->graph().node(stage.root).label;
  if (!stage.is_source) return RunOperator(stage, run, work, attempt);
  if (work.input == nullptr) return absl::InternalError("a map task without input");
  RETURN_IF_ERROR(input_.ReadPieces(*work.input, setup_.plan->graph().node(stage.root),
                                    setup_.blocks));
  result_.records_read = input_.records();
  result_.bytes_read = input_.file_bytes();
  datasets_[stage.fragments.front()].views.assign(input_.views().begin(), input_.views().end());
  return absl::OkStatus();
}

absl::Status TaskRunner::RunOperator(const Stage& stage, const RunTasks& run,
                                     const TaskWork& work, StateStore::Attempt& attempt) {
  const Node& node = setup_.plan->graph().node(stage.root);
  RETURN_IF_ERROR(ReadShares(run, work));
  for (const auto* share : work.shares) {
    if (result_.folded.empty() || result_.folded.back().first != share->edge()) {
      result_.folded.emplace_back(share->edge(), 0);
    }
    result_.folded.back().second += share->records();
  }
  std::optional<HidingState> hiding;
  if (!left_.keys.empty()) {
    LeaveOutKeys(node, run);
    if (node.state_by_key) {
      hiding.emplace(attempt.state(),
                     [this](std::string_view key) { return left_.keys.contains(key); });
    }
  }
  Dataset& dataset = datasets_[stage.fragments.front()];
  if (OperatorOf(stage).passes_on()) {
    dataset.views.clear();
    for (const Share& share : shares_) dataset.views.push_back(share.records);
    shares_.clear();
    return AddRowsOfLetters(run, dataset);  // which, too, lie in input_ until the task is over
  }
  RunOperatorOn(stage, run, shares_, hiding.has_value() ? &*hiding : attempt.state(),
                dataset.buffer);
  dataset.views.assign(1, dataset.buffer.view());
  shares_.clear();
  input_.Clear();
  return AddRowsOfLetters(run, dataset);
}

PartitionOperator& TaskRunner::OperatorOf(const Stage& stage) {
  auto& partition_operator = operators_[stage.id];
  if (partition_operator == nullptr) {
    partition_operator = setup_.plan->graph().node(stage.root).partition_operator->New();
  }
  return *partition_operator;
}

void TaskRunner::RunOperatorOn(const Stage& stage, const RunTasks& run,
                               std::span<const Share> shares, KeyedState* state,
                               RecordBatch& out) {
  const Node& node = setup_.plan->graph().node(stage.root);
  operator_ = node.label;
  PartitionOperator& partition_operator = OperatorOf(stage);
  out.Clear();
  out.SetFixedSize(partition_operator.output_fixed_size());
  context_.partitioner = node.partitioner.get();
  const OperatorContext context{context_, stage.partitions,
                                run.presence->Has(stage.fragments.front()), state};
  at_ = At::kOperator;
  partition_operator.Run(context, shares, out);
}

void TaskRunner::RunFragment(const Fragment& fragment) {
  const Node& node = setup_.plan->graph().node(fragment.node);
  const NarrowKernel& kernel = *node.inputs[fragment.input].narrow;
  const std::string& chain = node.inputs[fragment.input].chain;
  operator_ = chain.empty() ? node.label : chain + ", " + node.label;
  Dataset& dataset = datasets_[fragment.id];
  dataset.buffer.Clear();
  dataset.buffer.SetFixedSize(kernel.output_fixed_size());
  SeedFor(fragment.parent);
  kernel.Run(context_, datasets_[fragment.parent].views, dataset.buffer);
  dataset.views.assign(1, dataset.buffer.view());
  DoneReading(fragment.parent);
}

absl::Status TaskRunner::RunEdge(const Edge& edge) {
  const Node& node = setup_.plan->graph().node(edge.node);
  auto& kernel = shuffle_kernels_[edge.id];
  if (kernel == nullptr) kernel = node.inputs[edge.input].shuffle->New();
  const std::string& chain = node.inputs[edge.input].chain;
  operator_ = chain.empty() ? node.label : chain + ", " + node.label;
  context_.partitioner = node.partitioner.get();
  SeedFor(edge.from);
  if (left_.one_by_one && RunsRecordByRecord(node, edge.input)) {
    RETURN_IF_ERROR(RunEdgeOneByOne(edge, *kernel));
    DoneReading(edge.from);
    return absl::OkStatus();
  }
  kernel->Run(context_, datasets_[edge.from].views, setup_.plan->stage_of(edge.id).partitions);
  const auto shares = kernel->shares();
  for (uint32_t p = 0; p < shares.size() && !probing_; ++p) {
    if (shares[p].empty()) continue;
    RETURN_IF_ERROR(AddShare(edge.id, p, shares[p], [&] { return kernel->TakeShare(p); }));
  }
  DoneReading(edge.from);
  return absl::OkStatus();
}

absl::Status TaskRunner::AddShare(EdgeId edge, uint32_t partition, const RecordBatch& share,
                                  const std::function<std::string()>& take) {
  const uint32_t all = share.count();
  if (share.size() <= setup_.share_piece_bytes) {
    result_.shares.push_back({edge, partition, all, take()});
    return absl::OkStatus();
  }
  const BatchView records = share.view();
  for (uint32_t from = 0; from < all;) {
    const uint32_t fit = RecordsThatFit(records, from, setup_.share_piece_bytes, records.count);
    const uint32_t count = std::max(fit, 1u);
    const uint64_t bytes = records.record(from).size();
    if (bytes > setup_.share_record_bytes_max) {
      return absl::ResourceExhaustedError(
          "a record of " + std::to_string(bytes) + " bytes for a shuffle, which takes " +
          std::to_string(setup_.share_record_bytes_max) + " at most");
    }
    EncodedBatch piece(records.fixed_size);
    piece.Append(records, from, from + count);
    result_.shares.push_back({edge, partition, count, piece.Take()});
    from += count;
  }
  return absl::OkStatus();
}

const Output& TaskRunner::Enter(const OutputPiece& piece) {
  const Output& output = setup_.plan->graph().outputs()[piece.output];
  operator_ = output.chain.empty() ? output.label : output.chain + ", " + output.label;
  return output;
}

void TaskRunner::MakeRows(const OutputPiece& piece, RecordBatch& rows) {
  const Output& output = Enter(piece);
  rows.Clear();
  rows.SetFixedSize(output.kernel->output_fixed_size());
  SeedFor(piece.from);
  output.kernel->Run(context_, datasets_[piece.from].views, rows);
  DoneReading(piece.from);
}

absl::Status TaskRunner::AddOutput(uint32_t piece_index, const RunTasks& run,
                                   const BatchView& rows) {
  const Output& output = Enter(setup_.plan->output_pieces()[piece_index]);
  const uint32_t piece = PieceOf(piece_index, run);
  proto::OutputPart& part = result_.outputs.emplace_back();
  part.set_output(output.id);
  part.set_piece(piece);
  part.set_records(rows.count);
  if (output.kind == OutputKind::kPrint) {
    // One above the limit, so that the driver can tell that there were more.
    const uint64_t count = std::min<uint64_t>(rows.count, uint64_t{output.print_limit} + 1);
    for (uint32_t i = 0; i < count; ++i) part.add_printed(std::string(rows.record(i)));
  } else if (output.kind == OutputKind::kForeachBatch) {
    EncodeBatch(rows, *part.mutable_foreach_batch());
  } else if (output.kind == OutputKind::kForeachPartition) {
    RETURN_IF_ERROR(RunEffect(output, run, piece, rows));
  } else {
    StagedPart name{output.prefix,  setup_.job_instance, run.batch_ms,      output.id,
                    run.generation, piece,               output.record_type};
    name.row_end = output.row_end;
    name.header = output.header;
    name.footer = output.footer;
    name.suffix = output.suffix;
    name.rolls = Rolls(output);
    RETURN_IF_ERROR(setup_.outputs->Stage(name, rows, &part));
  }
  return absl::OkStatus();
}

// User code with an effect of its own. An executor that has moved on to another generation runs
// none of the former: the task fails, for nobody.
absl::Status TaskRunner::RunEffect(const Output& output, const RunTasks& run, uint32_t piece,
                                   const BatchView& rows) {
  EffectGate::Pass pass(setup_.effects, run.generation);
  if (!pass.Enter()) return absl::UnavailableError("its generation is over");
  at_ = At::kEffect;
  output.foreach_partition->Run(
      {setup_.job_instance, output.id, run.batch_ms, piece, context_.fence}, rows);
  return absl::OkStatus();
}

uint32_t TaskRunner::TotalTasks(const Stage& stage, const RunTasks& run) {
  if (!stage.is_source) return stage.partitions;
  for (const auto& source : run.batch->stages()) {
    if (source.stage() == stage.id) return source.total_tasks();
  }
  return 1;
}

// The place of this task's rows among the output's partitions.
uint32_t TaskRunner::PieceOf(uint32_t piece_index, const RunTasks& run) const {
  const auto& pieces = setup_.plan->output_pieces();
  uint32_t before = 0;
  for (uint32_t i = 0; i < piece_index; ++i) {
    const bool counts = pieces[i].output == pieces[piece_index].output &&
                        run.presence->Has(pieces[i].from);
    if (!counts) continue;
    const Stage& stage = setup_.plan->stages()[setup_.plan->fragments()[pieces[i].from].stage];
    before += TotalTasks(stage, run);
  }
  return before + context_.task;
}

}  // namespace sluice
