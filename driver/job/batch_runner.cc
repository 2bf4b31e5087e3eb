#include "driver/job/batch_runner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/mutations.h"
#include "driver/job/letter_keeper.h"
#include "driver/job/planner.h"

namespace sluice {
namespace {

constexpr MonotonicTime kGrantAgainUs = 2'000'000;
// Of compositions under way: records of letters and queues are in them. Below what a peer takes.
constexpr uint64_t kGrantBytesMax = uint64_t{64} << 20;
constexpr uint64_t kLetterBytesMax = uint64_t{32} << 20;  // of a batch: they are in the log
// A daemon without room for a delta must not hold up the job, whose checkpoints make room.
constexpr MonotonicTime kDeltaPatienceUs = 2'000'000;

}  // namespace

void BatchRunner::Begin(const proto::Grant& grant) {
  generation_ = grant.generation();
  members_in_ = {grant.members().begin(), grant.members().end()};
  apart_.clear();
  for (const auto& apart : grant.apart()) {
    if (apart.batch_ms() == 0) continue;
    apart_[{apart.batch_ms(), apart.stage(), apart.partition()}] = apart.member();
  }
  runs_.clear();
  last_added_ms_ = 0;
}

void BatchRunner::Add(int64_t batch_ms, bool rebuild, bool checkpoint) {
  BatchRun run;
  run.batch_ms = batch_ms;
  run.previous_ms = std::exchange(last_added_ms_, batch_ms);
  run.rebuild = rebuild;
  run.checkpoint = checkpoint;
  runs_.push_back(std::move(run));
}

uint32_t BatchRunner::slots() const {
  uint32_t slots = 0;
  for (const auto& member : members_in_) slots += member.slots();
  return slots;
}

std::vector<uint32_t> BatchRunner::MembersOfTasks(int64_t batch_ms, uint32_t tasks) const {
  std::vector<uint32_t> members;
  if (members_in_.empty()) return members;
  std::vector<uint32_t> slots_in;
  for (const auto& member : members_in_) slots_in.push_back(member.slots());
  const Ownership owners(slots_in);
  const uint64_t slots = owners.slots();
  const auto batch = static_cast<uint64_t>(batch_ms / options_.batch_interval_ms);
  const uint64_t turn = tasks % slots == 0 ? 0 : batch % slots;
  for (uint64_t task = 0; task < tasks; ++task) {
    const uint64_t slot = (task * slots / tasks + turn) % slots;
    members.push_back(owners.OwnerOf(static_cast<uint32_t>(slot), owners.slots()));
  }
  return members;
}

bool BatchRunner::InputReady(const proto::Composition& composition) const {
  for (const auto& source : composition.sources()) {
    for (const auto& task : source.tasks()) {
      if (!InputReady(task)) return false;
    }
  }
  return true;
}

bool BatchRunner::InputReady(const proto::TaskInput& task) const {
  for (const auto& piece : task.pieces()) {
    if (!piece.has_block()) continue;
    const BlockId key = BlockIdOf(piece.block().name());
    const LoggedBlock* block = state_->FindBlock(key);
    if (block != nullptr && !block->lost && holders_(key).empty()) return false;
  }
  return true;
}

uint32_t BatchRunner::MemberOfTask(int64_t batch_ms, uint32_t stage, uint32_t task,
                                   uint32_t tasks) const {
  const auto apart = apart_.find({batch_ms, stage, task});
  return apart == apart_.end() ? MembersOfTasks(batch_ms, tasks)[task] : apart->second;
}

// Its input, and where that is now.
void BatchRunner::FillTask(const proto::TaskInput& input, uint32_t index,
                           proto::GrantedBatch::Task& task) const {
  task.set_task(index);
  uint64_t lost = 0;
  bool any_lost = false;
  for (const auto& piece : input.pieces()) {
    auto& holders = *task.add_holders();
    if (piece.has_block()) {
      const BlockId key = BlockIdOf(piece.block().name());
      const LoggedBlock* block = state_->FindBlock(key);
      if (block != nullptr && block->lost) {
        task.mutable_holders()->RemoveLast();
        lost += piece.block().records();
        any_lost = true;
        continue;
      }
      for (const std::string& worker : holders_(key)) {
        holders.add_worker_ids(worker);
        holders.add_addresses(members_->AddressOf(worker));
      }
    }
    *task.add_pieces() = piece;
    task.add_lost_records(std::exchange(lost, 0));
  }
  if (!any_lost) task.clear_lost_records();
}

bool BatchRunner::LacksBlocks(const proto::Composition& composition) const {
  for (const auto& source : composition.sources()) {
    for (const auto& task : source.tasks()) {
      for (const auto& piece : task.pieces()) {
        if (!piece.has_block()) continue;
        const LoggedBlock* block = state_->FindBlock(BlockIdOf(piece.block().name()));
        if (block != nullptr && block->lost) return true;
      }
    }
  }
  return false;
}

proto::GrantedBatch BatchRunner::ForMember(const BatchRun& run, uint32_t member) const {
  proto::GrantedBatch granted;
  granted.set_batch_ms(run.batch_ms);
  granted.set_previous_ms(run.previous_ms);
  granted.set_rebuild(run.rebuild);
  granted.set_checkpoint(run.checkpoint);
  const proto::Composition& composition = state_->planned().at(run.batch_ms);
  *granted.mutable_values() = composition.values();
  *granted.mutable_letters() = composition.letters();
  AddLeftOut(run, granted);
  for (const auto& source : composition.sources()) {
    auto& stage = *granted.add_stages();
    stage.set_stage(source.stage());
    stage.set_total_tasks(source.tasks_size());
    stage.set_no_dataset(source.no_dataset());
    const std::vector<uint32_t> usual =
        MembersOfTasks(run.batch_ms, static_cast<uint32_t>(source.tasks_size()));
    for (int index = 0; index < source.tasks_size(); ++index) {
      const auto apart = apart_.find({run.batch_ms, source.stage(), index});
      if ((apart == apart_.end() ? usual[index] : apart->second) != member) continue;
      FillTask(source.tasks(index), index, *stage.add_tasks());
    }
  }
  return granted;
}

// Of a decided batch what was decided; else what ended executors, and who is to look for more.
void BatchRunner::AddLeftOut(const BatchRun& run, proto::GrantedBatch& granted) const {
  if (run.rebuild) {
    const auto decided = state_->decided().find(run.batch_ms);
    if (decided == state_->decided().end() || kMutationLeftOutForgotten) return;
    *granted.mutable_left_out() = decided->second.decided.left_out();
    granted.set_lacks_blocks(LacksBlocks(state_->planned().at(run.batch_ms)));
    if (!granted.lacks_blocks()) return;
    for (proto::LeftOut& left : *granted.mutable_left_out()) {
      if (!plan_.stages()[left.stage()].is_source) left.clear_records();
    }
    return;
  }
  if (!blame_->names_records()) return;
  for (const TaskName& task : blame_->suspects()) {
    const bool map_task = task.batch_ms == run.batch_ms && task.stage < plan_.stages().size() &&
                          plan_.stages()[task.stage].is_source;
    if (!map_task) continue;
    proto::LeftOut& left = *granted.add_left_out();
    left.set_stage(task.stage);
    left.set_task(task.task);
    left.set_search(true);
    const auto culprits = blame_->culprits().find(task);
    if (culprits == blame_->culprits().end()) continue;
    for (const auto& [record, cause] : culprits->second) {
      left.add_records(record);
      left.add_errors(cause);
    }
  }
}

proto::BatchGrant BatchRunner::Carrying(const Progress& progress) const {
  proto::BatchGrant grant;
  *grant.mutable_generation() = generation_;
  grant.set_decided_ms(progress.decided_ms);
  grant.set_sealed_ms(progress.sealed_ms);
  grant.set_abandoned_checkpoint_ms(progress.abandoned_ms);
  grant.set_durable_slot(progress.durable_slot);
  if (plan_.graph().has_task_effects()) grant.set_effects_ms(progress.effects_ms);
  return grant;
}

void BatchRunner::Grant(MonotonicTime now, const Progress& progress,
                        std::vector<DriverCommand>& out) {
  std::vector<BatchRun*> due;
  const auto under_way = std::count_if(runs_.begin(), runs_.end(),
                                       [](const BatchRun& run) { return run.granted; });
  const bool next_waits = plan_.graph().has_task_effects() && under_way == 0 && !runs_.empty() &&
                          !runs_.front().rebuild &&
                          runs_.front().batch_ms > progress.effects_ms;
  if (next_waits) return;
  // While enough are under way, those that are behind wait for each other and travel together.
  const bool more = under_way <= options_.batches_in_flight_max / 2;
  uint32_t in_flight = 0;
  uint64_t bytes = 0;
  for (BatchRun& run : runs_) {
    if (++in_flight > options_.batches_in_flight_max) break;
    bytes += run.bytes;
    if (run.granted && now - run.sent < kGrantAgainUs) continue;
    if (!run.granted && !more) break;
    if (!run.granted && !InputReady(state_->planned().at(run.batch_ms))) break;
    if (!run.granted) {
      const uint64_t needed = state_->planned().at(run.batch_ms).ByteSizeLong();
      if (in_flight > 1 && bytes + needed > kGrantBytesMax) break;
      bytes += run.bytes = needed;
      run.first_sent = now;
    }
    run.granted = true;
    run.sent = now;
    due.push_back(&run);
  }
  if (due.empty()) return;
  for (uint32_t member = 0; member < members_in_.size(); ++member) {
    Send send{members_in_[member].address(), {}};
    auto& grant = *send.message.mutable_batch_grant();
    grant = Carrying(progress);
    for (const BatchRun* run : due) {
      if (run->reports.contains(members_in_[member].executor())) continue;
      *grant.add_batches() = ForMember(*run, member);
    }
    if (grant.batches_size() > 0) out.push_back(std::move(send));
  }
}

void BatchRunner::Inform(const Progress& progress, std::vector<DriverCommand>& out) const {
  for (const auto& member : members_in_) {
    Send send{member.address(), {}};
    *send.message.mutable_batch_grant() = Carrying(progress);
    out.push_back(std::move(send));
  }
}

void BatchRunner::OnReport(const proto::BatchReport& report) {
  if (report.generation().epoch() != generation_.epoch() ||
      report.generation().number() != generation_.number()) {
    return;
  }
  BatchRun* run = Find(report.batch_ms());
  if (run != nullptr) run->reports.emplace(report.executor(), report);
}

BatchRun* BatchRunner::Find(int64_t batch_ms) {
  for (BatchRun& run : runs_) {
    if (run.batch_ms == batch_ms) return &run;
  }
  return nullptr;
}

BatchRun* BatchRunner::Whole(MonotonicTime now) {
  if (runs_.empty() || members_in_.empty()) return nullptr;
  BatchRun& front = runs_.front();
  for (const auto& [executor, report] : front.reports) {
    if (report.has_failure()) return &front;
  }
  if (front.reports.size() != members_in_.size()) return nullptr;
  if (front.rebuild) return &front;
  if (front.reported == 0) front.reported = now;
  const bool late = !DeltasAreIn(front);
  // Where one batch waited in vain the next ones do not fall behind for it.
  const MonotonicTime patience =
      deltas_late_ ? std::min(options_.batch_interval_ms * 250, kDeltaPatienceUs)
                   : kDeltaPatienceUs;
  if (late && now - front.reported < patience) return nullptr;
  deltas_late_ = late;
  return &front;
}

bool BatchRunner::DeltasAreIn(const BatchRun& run) const {
  return std::none_of(run.reports.begin(), run.reports.end(), [this](const auto& report) {
    return report.second.has_delta() && deltas_(BlockIdOf(report.second.delta())) == nullptr;
  });
}

// Without one of them the state of a later generation comes from running batches again.
void BatchRunner::GatherDeltas(const BatchRun& run, BatchOutcome& outcome) const {
  bool whole = options_.deltas;
  for (const auto& [executor, report] : run.reports) {
    whole &= !report.without_delta();
    if (!report.has_delta()) continue;
    const proto::BlockInfo* delta = deltas_(BlockIdOf(report.delta()));
    whole &= delta != nullptr;
    if (delta != nullptr) *outcome.decided.add_deltas() = *delta;
  }
  outcome.decided.set_deltas_whole(whole);
}

BatchOutcome BatchRunner::Outcome(const BatchRun& run) const {
  BatchOutcome outcome;
  outcome.decided.set_batch_ms(run.batch_ms);
  outcome.decided.set_generation(generation_.number());
  for (const auto& [executor, report] : run.reports) {
    if (!report.has_failure()) continue;
    const auto& f = report.failure();
    const std::string record = f.record() < 0 ? "" : absl::StrCat(", record ", f.record());
    outcome.failure = absl::StrCat("batch ", run.batch_ms, ", operator ", f.operator_name(),
                                   ", task ", f.task(), " of stage ", f.stage(), record,
                                   f.source().empty() ? "" : ", from ", f.source(), ": ",
                                   f.cause());
    return outcome;
  }
  CheckBalance(run, outcome);
  if (outcome.imbalance.empty()) GatherOutputs(run, outcome);
  if (run.rebuild) return outcome;
  GatherLetters(run, outcome);
  GatherDeltas(run, outcome);
  return outcome;
}

void BatchRunner::GatherLetters(const BatchRun& run, BatchOutcome& outcome) const {
  uint64_t bytes = 0;
  for (const auto& [executor, report] : run.reports) {
    outcome.decided.mutable_left_out()->MergeFrom(report.left_out());
    for (const auto& letter : report.letters()) bytes += letter.ByteSizeLong();
    outcome.decided.mutable_letters()->MergeFrom(report.letters());
  }
  NumberLetters(outcome.decided);
  const int count = outcome.decided.letters_size();
  if (count == 0 || (static_cast<uint32_t>(count) <= options_.bad_records_max &&
                     bytes <= kLetterBytesMax)) {
    return;
  }
  const proto::Letter& first = outcome.decided.letters(0);
  outcome.failure =
      absl::StrCat("batch ", run.batch_ms, ": ", count, " bad records of ", bytes,
                   " bytes, above bad_records_max=", options_.bad_records_max, " or ",
                   kLetterBytesMax, " bytes; the first, operator ", first.operator_name(),
                   ", from ", first.source(), ": ", first.error());
}

void BatchRunner::CheckBalance(const BatchRun& run, BatchOutcome& outcome) const {
  std::map<uint32_t, std::pair<uint64_t, uint64_t>> edges;    // pushed, folded
  std::map<uint32_t, std::pair<uint64_t, uint64_t>> sources;  // records, bytes
  for (const auto& [executor, report] : run.reports) {
    for (const auto& edge : report.edges()) {
      edges[edge.edge()].first += edge.pushed();
      edges[edge.edge()].second += edge.folded();
    }
    for (const auto& source : report.sources()) {
      sources[source.stage()].first += source.records();
      sources[source.stage()].second += source.bytes();
    }
    for (const auto& state : report.states()) {
      auto* all = outcome.decided.mutable_states();
      auto it = std::find_if(all->begin(), all->end(), [&](const auto& digest) {
        return digest.operator_name() == state.operator_name();
      });
      proto::OperatorDigest& digest = it == all->end() ? *all->Add() : *it;
      digest.set_operator_name(state.operator_name());
      digest.set_digest(digest.digest() + state.digest());
      digest.set_entries(digest.entries() + state.entries());
    }
  }
  std::sort(outcome.decided.mutable_states()->begin(), outcome.decided.mutable_states()->end(),
            [](const auto& a, const auto& b) { return a.operator_name() < b.operator_name(); });
  for (const auto& [edge, count] : edges) {
    if (count.first == count.second) continue;
    outcome.imbalance = absl::StrCat("batch ", run.batch_ms, ", edge ", edge, ": ", count.first,
                                     " records pushed, ", count.second, " folded");
    return;
  }
  const proto::Composition& composition = state_->planned().at(run.batch_ms);
  std::map<uint32_t, uint64_t> letters;  // their records, by stage
  for (const auto& letter : composition.letters()) {
    letters[letter.stage()] += letter.records().records();
  }
  for (const auto& [stage, planned] : letters) {
    if (planned == sources[stage].first) continue;
    outcome.imbalance = absl::StrCat("batch ", run.batch_ms, ", stage ", stage, ": ", planned,
                                     " records of letters planned, ", sources[stage].first,
                                     " read");
    return;
  }
  uint64_t records = 0;
  for (const auto& source : composition.sources()) {
    const PlannedInput planned = InputOf(source, *state_);
    const auto read = sources[source.stage()];
    const bool whole = planned.files
                           ? read.second == planned.file_bytes
                           : read.first == planned.block_records + planned.inline_records;
    if (!whole) {
      outcome.imbalance =
          absl::StrCat("batch ", run.batch_ms, ", source stage ", source.stage(), ": planned ",
                       planned.block_records + planned.inline_records, " records and ",
                       planned.file_bytes, " bytes, read ", read.first, " and ", read.second);
      return;
    }
    records += read.first;
  }
  outcome.decided.set_records(records);
}

void BatchRunner::GatherOutputs(const BatchRun& run, BatchOutcome& outcome) const {
  std::map<uint32_t, std::map<uint32_t, const proto::OutputPart*>> parts;  // output -> piece
  for (const auto& [executor, report] : run.reports) {
    for (const auto& part : report.outputs()) parts[part.output()][part.piece()] = &part;
  }
  for (const Output& output : plan_.graph().outputs()) {
    proto::StagedOutput& staged = *outcome.decided.add_outputs();
    staged.set_output(output.id);
    const auto it = parts.find(output.id);
    staged.set_has_dataset(it != parts.end());
    if (it == parts.end()) continue;
    staged.set_parts(static_cast<uint32_t>(it->second.size()));
    for (const auto& [piece, part] : it->second) {
      staged.set_records(staged.records() + part->records());
      if (!part->staged_path().empty()) staged.set_staged_path(part->staged_path());
      staged.set_bytes(staged.bytes() + part->bytes());
      if (!part->name().empty()) staged.add_names(part->name());
      if (part->has_upload()) *staged.add_uploads() = part->upload();
      for (const std::string& row : part->printed()) {
        if (static_cast<uint32_t>(staged.printed_size()) > output.print_limit) break;
        staged.add_printed(row);
      }
      if (output.kind == OutputKind::kForeachBatch) {
        outcome.foreach_parts[output.id].push_back(part->foreach_batch());
      }
    }
    // User code that runs before the decision leaves nothing to publish after it.
    if (RunsUserCode(output.kind)) staged.set_has_dataset(false);
    if (WritesFiles(output.kind) && !Rolls(output)) {
      std::string target = absl::StrCat(output.prefix, "-", run.batch_ms);
      if (!output.suffix.empty()) absl::StrAppend(&target, ".", output.suffix);
      staged.set_target_path(target);
    }
  }
}

}  // namespace sluice
