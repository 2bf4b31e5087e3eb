// The half of task_runner.h that runs a task again after user code threw, to find what it threw at
// and to leave that out. Nothing here runs as long as nothing throws.
//
// The unit is a record of the stage's root: of the source, or after a shuffle of the operator's
// rows. Where the operator itself throws it is a key, with what came for it. Each unit that fails
// alone is found by halving; then the task runs without them, as if they had never come.
#include "worker/executor/careful_run.h"

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "worker/executor/hiding_state.h"
#include "worker/executor/task_runner.h"

namespace sluice {
namespace {

// Steps of a chain that take more than a record at a time, or count them.
constexpr const char* kWholeTaskSteps[] = {"MapPartitions", "Glom", "Sample"};

// Runs it; what it threw, if it threw. Want of memory is nobody's record's fault and goes on.
template <class Run>
std::optional<std::string> Thrown(const Run& run) {
  try {
    run();
    return std::nullopt;
  } catch (const StateLost&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return kNoException;
  }
}

void AddValue(uint32_t input, uint32_t fixed_size, std::string_view record,
              proto::Letter& letter) {
  auto& runs = *letter.mutable_runs();
  if (runs.empty() || runs.rbegin()->input() != input ||
      runs.rbegin()->fixed_size() != fixed_size) {
    runs.Add()->set_input(input);
    runs.rbegin()->set_fixed_size(fixed_size);
  }
  runs.rbegin()->set_values(runs.rbegin()->values() + 1);
  letter.add_values(std::string(record));
}

}  // namespace

bool RunsRecordByRecord(const Node& node, uint32_t input) {
  const std::string& chain = node.inputs[input].chain;
  return node.take_key != nullptr &&
         std::none_of(std::begin(kWholeTaskSteps), std::end(kWholeTaskSteps),
                      [&](const char* step) { return chain.find(step) != chain.npos; });
}

// ---- what is left out from the start, and what is told of it --------------------------------

void TaskRunner::TakeLeftOut(const RunTasks& run, const TaskWork& work, StateStore& state) {
  left_ = Left{};
  bool search = false;
  for (const proto::LeftOut& left : run.batch->left_out()) {
    if (left.stage() != run.stage || left.task() != work.task) continue;
    for (int i = 0; i < left.records_size(); ++i) {
      left_.records[left.records(i)] = {setup_.plan->graph().node(setup_.plan->stages()[run.stage]
                                                                      .root).label,
                                        i < left.errors_size() ? left.errors(i) : ""};
    }
    for (const std::string& key : left.keys()) left_.keys[key] = {};
    left_.one_by_one |= left.one_by_one();
    search |= left.search();
  }
  if (search && work.input != nullptr) SearchOneByOne(run, work, state);
}

void TaskRunner::TellLeftOut(const RunTasks& run, const TaskWork& work) {
  if (left_.size() == 0 && !left_.one_by_one) return;
  proto::LeftOut& left = result_.left_out.emplace();
  left.set_stage(run.stage);
  left.set_task(work.task);
  left.set_one_by_one(left_.one_by_one);
  for (const auto& [record, bad] : left_.records) left.add_records(record);
  for (const auto& [key, bad] : left_.keys) left.add_keys(key);
}

proto::Letter TaskRunner::LetterOf(const RunTasks& run, const BadItem& bad) const {
  proto::Letter letter;
  letter.set_batch_ms(run.batch_ms);
  letter.set_stage(run.stage);
  letter.set_task(context_.task);
  letter.set_operator_name(bad.operator_name);
  letter.set_error(bad.error);
  letter.set_source("partition " + std::to_string(context_.task));
  letter.set_record(-1);
  if (!setup_.plan->stages()[run.stage].is_source) {
    letter.set_operator_key(setup_.plan->OperatorKey(run.stage));
    letter.set_record_type(setup_.plan->ShareType(run.stage));
  }
  return letter;
}

// What is lost of the task's input since it was planned keeps its places.
TaskRunner::Placed TaskRunner::WithPlaces(std::vector<BatchView> views,
                                          const TaskWork& work) const {
  Placed root;
  uint64_t place = 0;
  int counted = 0;  // pieces with what was lost before them
  for (size_t v = 0; v < views.size(); ++v) {
    if (work.input != nullptr && !work.input->lost_records().empty()) {
      for (; counted <= input_.pieces()[v]; ++counted) place += work.input->lost_records(counted);
    }
    root.first.push_back(place);
    place += views[v].count;
  }
  root.views = std::move(views);
  return root;
}

void TaskRunner::LeaveOutRecords(const Stage& stage, const RunTasks& run, const TaskWork& work) {
  Dataset& root = datasets_[stage.fragments.front()];
  const size_t first = kept_.size();
  const Placed placed = WithPlaces(root.views, work);
  int piece = -1;
  int64_t in_piece = 0;
  for (size_t v = 0; v < placed.views.size(); ++v) {
    const BatchView& view = placed.views[v];
    if (stage.is_source && std::exchange(piece, input_.pieces()[v]) != input_.pieces()[v]) {
      in_piece = 0;
    }
    RecordBatch& kept = kept_.emplace_back(view.fixed_size);
    for (uint32_t i = 0; i < view.count; ++i, ++in_piece) {
      const auto bad = left_.records.find(placed.first[v] + i);
      if (bad == left_.records.end()) {
        kept.Append(view.record(i));
      } else if (!run.rebuild) {
        proto::Letter& letter = result_.letters.emplace_back(LetterOf(run, bad->second));
        if (stage.is_source) {
          letter.set_source(Describe(work.input->pieces(piece)));
          letter.set_source_key(SourceKey(setup_.plan->graph().node(stage.root).source));
        } else {
          letter.set_record_type(setup_.plan->graph().node(stage.root).record_type);
        }
        letter.set_record(in_piece);
        letter.set_raw(std::string(view.record(i)));
        letter.set_fixed_size(view.fixed_size);
      }
    }
  }
  for (size_t v = 0; v < root.views.size(); ++v) root.views[v] = kept_[first + v].view();
}

void TaskRunner::LeaveOutKeys(const Node& node, const RunTasks& run) {
  std::map<std::string_view, proto::Letter> letters;
  for (const auto& [key, bad] : left_.keys) {
    proto::Letter& letter = letters[key] = LetterOf(run, bad);
    letter.set_key(key);
  }
  for (Share& share : shares_) {
    RecordBatch& kept = kept_.emplace_back(share.records.fixed_size);
    for (uint32_t i = 0; i < share.records.count; ++i) {
      std::string_view key;
      const std::string_view record = share.records.record(i);
      const auto letter =
          node.take_key(record, key) ? letters.find(key) : letters.end();
      if (letter == letters.end()) {
        kept.Append(record);
      } else {
        AddValue(share.input, share.records.fixed_size, record, letter->second);
      }
    }
    share.records = kept.view();
  }
  if (run.rebuild) return;
  for (auto& [key, letter] : letters) result_.letters.push_back(std::move(letter));
}

absl::Status TaskRunner::RunEdgeOneByOne(const Edge& edge, ShuffleKernel& kernel) {
  const uint32_t partitions = setup_.plan->stage_of(edge.id).partitions;
  std::vector<RecordBatch> sums(partitions);
  RecordBatch one;
  for (const BatchView& view : datasets_[edge.from].views) {
    for (uint32_t i = 0; i < view.count; ++i) {
      one.Clear();
      one.SetFixedSize(view.fixed_size);
      one.Append(view.record(i));
      const BatchView alone = one.view();
      kernel.Run(context_, {&alone, 1}, partitions);
      for (uint32_t p = 0; p < partitions; ++p) {
        const BatchView share = kernel.shares()[p].view();
        if (share.count == 0) continue;
        if (sums[p].empty()) sums[p].SetFixedSize(share.fixed_size);
        if (sums[p].size() + share.size > kBatchBytesMax) {
          return absl::ResourceExhaustedError("a share of more than 2 GiB");
        }
        (void)sums[p].AppendAll(share);  // of the same size: the kernel is
      }
    }
  }
  for (uint32_t p = 0; p < partitions && !probing_; ++p) {
    if (sums[p].empty()) continue;
    RETURN_IF_ERROR(AddShare(edge.id, p, sums[p], [&] { return sums[p].TakeEncoded(); }));
  }
  return absl::OkStatus();
}

// ---- the search ------------------------------------------------------------------------------

TaskRunner::Ended TaskRunner::RunCarefully(const RunTasks& run, const TaskWork& work,
                                           StateStore& state, Ended ended) {
  while (ended.threw) {
    const auto before = std::pair{left_.size(), left_.one_by_one};
    const std::string guilty = operator_;
    try {
      if (at_ == At::kOperator) FindKeys(run, work, state);
      else if (at_ == At::kRecords) FindRecords(run, work, state);
    } catch (const StateLost&) {
      throw;
    } catch (const std::exception&) {  // found no more than before
    }
    probing_ = false;
    ForgetTask(true);
    operator_ = guilty;
    if (std::pair{left_.size(), left_.one_by_one} == before) return ended;
    if (left_.size() > setup_.bad_records_max) {
      ended.status = absl::UnknownError(absl::StrCat("more than ", setup_.bad_records_max,
                                                     " bad records, the last: ",
                                                     ended.status.message()));
      return ended;
    }
    ended = Try(run, work, state);
  }
  return ended;
}

// Calls `search` with the places of the root's records that are not left out yet.
void TaskRunner::WithRecords(const RunTasks& run, const TaskWork& work, StateStore& state,
                             const OnRecords& search) {
  const Stage& stage = setup_.plan->stages()[run.stage];
  SetContext(run, work);
  const CurrentTaskScope scope(context_);
  StateStore::Attempt attempt = state.Open(run.stage, work.task);  // and dropped
  if (!RunRoot(stage, run, work, attempt).ok()) return;
  probing_ = true;
  RecordBatch rows;
  Dataset& root = datasets_[stage.fragments.front()];
  std::vector<BatchView> views = root.views;
  if (!stage.is_source && !OperatorOf(stage).passes_on()) {  // the first are the operator's own
    std::swap(rows, root.buffer);
    views.front() = rows.view();
  }
  const Placed placed = WithPlaces(std::move(views), work);
  std::vector<uint64_t> records;
  for (size_t v = 0; v < placed.views.size(); ++v) {
    for (uint64_t i = 0; i < placed.views[v].count; ++i) {
      if (!left_.records.contains(placed.first[v] + i)) records.push_back(placed.first[v] + i);
    }
  }
  search(records, [&](std::span<const uint64_t> some) {
    return ProbeRecords(stage, run, placed, some);
  });
  probing_ = false;
}

std::optional<BadItem> TaskRunner::ProbeRecords(const Stage& stage, const RunTasks& run,
                                                const Placed& root,
                                                std::span<const uint64_t> records) {
  std::deque<RecordBatch> some;
  for (const BatchView& view : root.views) some.emplace_back(view.fixed_size);
  size_t v = 0;
  for (const uint64_t place : records) {  // they rise
    while (place - root.first[v] >= root.views[v].count) ++v;
    some[v].Append(root.views[v].record(static_cast<uint32_t>(place - root.first[v])));
  }
  Dataset& dataset = datasets_[stage.fragments.front()];
  dataset.views.clear();
  for (const RecordBatch& batch : some) dataset.views.push_back(batch.view());
  const auto thrown = Thrown([&] { (void)RunRest(stage, run); });
  dataset.views.clear();
  if (!thrown.has_value()) return std::nullopt;
  for (auto& kernel : shuffle_kernels_) kernel.reset();
  return BadItem{operator_, *thrown};
}

// Marks each record before it runs: if that ends the process, its daemon knows which it was.
void TaskRunner::SearchOneByOne(const RunTasks& run, const TaskWork& work, StateStore& state) {
  try {
    WithRecords(run, work, state, [&](std::span<const uint64_t> records, const Probe& probe) {
      for (const uint64_t& record : records) {
        if (setup_.board != nullptr) setup_.board->At(slot_, record + 1);
        if (auto bad = probe({&record, 1})) left_.records.emplace(record, *std::move(bad));
      }
      if (setup_.board != nullptr) setup_.board->At(slot_, 0);
    });
  } catch (const StateLost&) {
    throw;
  } catch (const std::exception&) {  // found no more than before
  }
  probing_ = false;
  ForgetTask(true);
}

void TaskRunner::FindRecords(const RunTasks& run, const TaskWork& work, StateStore& state) {
  WithRecords(run, work, state, [&](std::span<const uint64_t> records, const Probe& probe) {
    auto found = FailingAlone(records, probe);
    if (!found.empty()) return left_.records.merge(found);
    if (!probe(records).has_value()) return;  // not any more
    // They fail together. Values of one key that cannot be combined are left to the operator behind
    // the shuffle, which has all of them.
    if (!left_.one_by_one) {
      left_.one_by_one = true;
      return;
    }
    if (auto last = LastOfShortestFailing(records, probe)) left_.records.insert(*std::move(last));
  });
}

void TaskRunner::FindKeys(const RunTasks& run, const TaskWork& work, StateStore& state) {
  const Node& node = setup_.plan->graph().node(setup_.plan->stages()[run.stage].root);
  if (node.take_key == nullptr) return;
  SetContext(run, work);
  const CurrentTaskScope scope(context_);
  std::vector<std::string> keys;
  std::set<std::string, std::less<>> seen;
  const auto add = [&](std::string_view key) {
    if (!left_.keys.contains(key) && seen.emplace(key).second) keys.emplace_back(key);
  };
  if (!ReadShares(run, work).ok()) return;
  for (const Share& share : shares_) {
    for (uint32_t i = 0; i < share.records.count; ++i) {
      std::string_view key;
      if (!node.take_key(share.records.record(i), key)) return;
      add(key);
    }
  }
  const auto search = [&] {
    std::vector<uint64_t> places(keys.size());
    for (size_t i = 0; i < places.size(); ++i) places[i] = i;
    const auto found = FailingAlone(places, [&](std::span<const uint64_t> some) {
      std::set<std::string_view> visible;
      for (const uint64_t place : some) visible.insert(keys[place]);
      return ProbeKeys(run, work, state, visible);
    });
    for (const auto& [place, bad] : found) left_.keys.emplace(keys[place], bad);
    return !found.empty();
  };
  if (search() || !node.state_by_key) return;
  keys.clear();  // none of those that something came for: one that is idle
  {
    StateStore::Attempt attempt = state.Open(run.stage, work.task);
    attempt.state()->ForEach([&](std::string_view entry, std::string_view) {
      if (!IsEntryMark(entry)) add(UserKeyOf(entry));
    });
  }
  search();
}

std::optional<BadItem> TaskRunner::ProbeKeys(const RunTasks& run, const TaskWork& work,
                                             StateStore& state,
                                             const std::set<std::string_view>& visible) {
  const Stage& stage = setup_.plan->stages()[run.stage];
  const Node& node = setup_.plan->graph().node(stage.root);
  std::deque<RecordBatch> some;
  std::vector<Share> shares;
  for (const auto& [input, view] : shares_) {
    RecordBatch& batch = some.emplace_back(view.fixed_size);
    for (uint32_t i = 0; i < view.count; ++i) {
      std::string_view key;
      if (node.take_key(view.record(i), key) && visible.contains(key)) batch.Append(view.record(i));
    }
    shares.push_back({input, batch.view()});
  }
  StateStore::Attempt attempt = state.Open(run.stage, work.task);  // and dropped
  std::optional<HidingState> hiding;
  if (node.state_by_key) {
    hiding.emplace(attempt.state(), [&](std::string_view key) { return !visible.contains(key); });
  }
  RecordBatch rows;
  const auto thrown = Thrown([&] {
    RunOperatorOn(stage, run, shares, hiding.has_value() ? &*hiding : attempt.state(), rows);
  });
  if (!thrown.has_value()) return std::nullopt;
  operators_[stage.id].reset();
  return BadItem{node.label, *thrown};
}

}  // namespace sluice
