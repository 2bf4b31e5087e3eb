#include "common/plan/interpreter.h"

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "common/plan/task_seed.h"
#include "common/plan/user_key.h"

namespace sluice {

// A partition of a dataset, and the task that made it: kernels see its stage and number.
struct ReferenceInterpreter::Partition {
  RecordBatch records;
  std::vector<std::string> encoded;  // of a source: instead of records
  uint32_t stage = 0;
  uint32_t task = 0;
  uint32_t total_tasks = 1;
  uint64_t way = 0;  // through unions
};

struct ReferenceInterpreter::Dataset {
  bool exists = false;
  std::vector<Partition> partitions;
};

class ReferenceInterpreter::PlainState final : public KeyedState {
 public:
  std::optional<std::string_view> Get(std::string_view key) override {
    const auto it = values_.find(std::string(key));
    if (it == values_.end()) return std::nullopt;
    return it->second.value;
  }

  void Put(std::string_view key, std::string_view value) override { PutTimed(key, value, 0); }

  void PutTimed(std::string_view key, std::string_view value, int64_t due_ms) override {
    const auto [it, added] = values_.try_emplace(std::string(key), Entry{next_, {}, 0});
    if (added) order_.emplace(next_++, key);
    it->second.value = std::string(value);
    it->second.due_ms = due_ms;
  }

  void Remove(std::string_view key) override {
    const auto it = values_.find(std::string(key));
    if (it == values_.end()) return;
    order_.erase(it->second.number);
    values_.erase(it);
  }

  void ForEach(const Visitor& visit) override {
    const uint64_t end = next_;
    for (auto it = order_.begin(); it != order_.end() && it->first < end;) {
      const auto [number, key] = *it;
      const std::string value = values_.at(key).value;
      if (!Hides(key)) visit(key, value);
      it = order_.upper_bound(number);
    }
  }

  void ForEachDue(int64_t before_ms, const Visitor& visit) override {
    std::set<std::tuple<int64_t, uint64_t, std::string>> due;
    for (const auto& [key, entry] : values_) {
      if (IsDue(entry, before_ms) && !Hides(key)) due.emplace(entry.due_ms, entry.number, key);
    }
    for (const auto& [due_ms, number, key] : due) {
      const auto it = values_.find(key);
      if (it == values_.end() || it->second.number != number) continue;
      if (!IsDue(it->second, before_ms)) continue;
      const std::string value = it->second.value;
      visit(key, value);
    }
  }

  int64_t DueOf(std::string_view key) override {
    const auto it = values_.find(std::string(key));
    return it == values_.end() ? 0 : it->second.due_ms;
  }
  uint64_t size() const override { return values_.size(); }

  // Entries of these keys are not visited.
  void Hide(std::set<std::string> keys) { hidden_ = std::move(keys); }

 private:
  bool Hides(const std::string& entry) const {
    return !IsEntryMark(entry) && hidden_.contains(std::string(UserKeyOf(entry)));
  }
  struct Entry {
    uint64_t number = 0;  // of insertion
    std::string value;
    int64_t due_ms = 0;
  };
  static bool IsDue(const Entry& entry, int64_t before_ms) {
    return entry.due_ms != 0 && entry.due_ms < before_ms;
  }

  uint64_t next_ = 1;
  std::map<std::string, Entry> values_;
  std::map<uint64_t, std::string> order_;
  std::set<std::string> hidden_;
};

// One batch: datasets by node, made in order of node ids (parents come first).
struct ReferenceInterpreter::Run {
  ReferenceInterpreter& self;
  const std::vector<TaskInputs>& inputs;
  const int64_t batch_ms;
  const std::set<NodeId>& absent;
  const std::vector<std::string>& values;
  const Aside& aside;
  std::vector<Dataset> datasets;

  TaskContext ContextOf(uint32_t stage, uint32_t task, uint32_t total_tasks) const {
    TaskContext context;
    context.stage = stage;
    context.job_instance = self.job_instance_;
    context.values = values;
    context.random_seed = TaskSeed(self.job_instance_, batch_ms, stage, task);
    context.batch_ms = batch_ms;
    context.zero_ms = self.zero_ms_;
    context.batch_interval_ms = self.batch_interval_ms_;
    context.task = task;
    context.total_tasks = total_tasks;
    context.key_groups = self.key_groups_;
    return context;
  }

  int64_t tick() const { return (batch_ms - self.zero_ms_) / self.batch_interval_ms_; }
  bool Slides(NodeId node) const {
    return tick() % self.graph_.node(node).slide_batches == 0;
  }

  // Gives the partition's records, as the several batches they may be, to `use`.
  template <class Use>
  void With(const Partition& partition, const Use& use) const {
    std::vector<BatchView> views;
    std::vector<std::vector<uint32_t>> scratch(partition.encoded.size());
    if (partition.encoded.empty()) views.push_back(partition.records.view());
    for (size_t i = 0; i < partition.encoded.size(); ++i) {
      const auto view = DecodeBatch(partition.encoded[i], scratch[i]);
      if (!view.has_value()) throw std::invalid_argument("an input batch does not decode");
      views.push_back(*view);
    }
    TaskContext context = ContextOf(partition.stage, partition.task, partition.total_tasks);
    context.random_seed = SeedOnWay(context.random_seed, partition.way);
    const CurrentTaskScope scope(context);
    use(context, std::span<const BatchView>(views));
  }

  void RunSource(const Node& node) {
    Dataset& dataset = datasets[node.id];
    dataset.exists = !absent.contains(node.id);
    if (!dataset.exists || node.id >= inputs.size()) return;
    const TaskInputs& tasks = inputs[node.id];
    for (uint32_t task = 0; task < tasks.size(); ++task) {
      Partition& partition = dataset.partitions.emplace_back();
      partition.encoded = tasks[task];
      partition.stage = self.stage_of_root_[node.id];
      partition.task = task;
      partition.total_tasks = static_cast<uint32_t>(tasks.size());
      if (partition.encoded.empty()) {
        EncodeBatch(RecordBatch().view(), partition.encoded.emplace_back());
      }
    }
  }

  void RunNarrow(const Node& node) {
    Dataset& dataset = datasets[node.id];
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const NodeInput& input = node.inputs[i];
      const Dataset& parent = datasets[input.parent];
      dataset.exists |= parent.exists;
      for (const Partition& from : parent.partitions) {
        Partition& to = dataset.partitions.emplace_back();
        to.stage = from.stage;
        to.task = from.task;
        to.total_tasks = from.total_tasks;
        to.way = WayThrough(from.way, i, node.inputs.size());
        to.records.SetFixedSize(input.narrow->output_fixed_size());
        With(from, [&](const TaskContext& context, std::span<const BatchView> records) {
          input.narrow->Run(context, records, to.records);
        });
      }
    }
  }

  void RunShuffle(const Node& node) {
    const uint32_t count = node.partitions != 0 ? node.partitions : self.default_partitions_;
    std::vector<std::vector<std::pair<uint32_t, RecordBatch>>> shares(count);
    bool any = false;
    for (uint32_t i = 0; i < node.inputs.size(); ++i) {
      const Dataset& parent = datasets[node.inputs[i].parent];
      // State is asked at every slide of its parent, whether or not there is a dataset.
      any |= parent.exists || (!node.state_name.empty() && Slides(node.inputs[i].parent));
      for (const Partition& from : parent.partitions) {
        const auto kernel = node.inputs[i].shuffle->New();
        With(from, [&](TaskContext context, std::span<const BatchView> records) {
          context.partitioner = node.partitioner.get();
          kernel->Run(context, records, count);
        });
        for (uint32_t p = 0; p < count; ++p) shares[p].emplace_back(i, kernel->shares()[p]);
      }
    }
    for (const LetterInput& letter : aside.letters) {
      if (letter.node != node.id) continue;
      any = true;
      if (letter.is_row) continue;
      auto& all = shares.at(letter.partition);
      const auto behind = std::find_if(all.begin(), all.end(), [&](const auto& share) {
        return share.first > letter.input;
      });
      all.emplace(behind, letter.input, Decoded(letter));
    }
    if (any) Fold(node, shares);
  }

  static RecordBatch Decoded(const LetterInput& letter) {
    std::vector<uint32_t> scratch;
    const auto view = DecodeBatch(letter.encoded, scratch);
    if (!view.has_value()) throw std::invalid_argument("a letter does not decode");
    RecordBatch records(view->fixed_size);
    records.AppendAll(*view);
    return records;
  }

  // What was left out of the partition; null: nothing.
  const LeftOut* LeftOutOf(const Node& node, uint32_t partition) const {
    const auto left = aside.left_out.find({node.id, partition});
    return left == aside.left_out.end() ? nullptr : &left->second;
  }

  static RecordBatch WithoutKeys(const Node& node, const std::set<std::string>& keys,
                                 const RecordBatch& records) {
    const BatchView all = records.view();
    RecordBatch rest(all.fixed_size);
    for (uint32_t i = 0; i < all.count; ++i) {
      std::string_view key;
      const bool known = node.take_key(all.record(i), key);
      if (!known || !keys.contains(std::string(key))) rest.Append(all.record(i));
    }
    return rest;
  }

  // The operator's own rows and those of letters, without what is left out of them.
  void Complete(const Node& node, Partition& partition) {
    for (const LetterInput& letter : aside.letters) {
      const bool ours = letter.node == node.id && letter.partition == partition.task;
      if (ours && letter.is_row) partition.records.AppendAll(Decoded(letter).view());
    }
    const LeftOut* left = LeftOutOf(node, partition.task);
    if (left == nullptr) return;
    const BatchView all = partition.records.view();
    RecordBatch rest(all.fixed_size);
    for (uint32_t i = 0; i < all.count; ++i) {
      if (!left->rows.contains(i)) rest.Append(all.record(i));
    }
    partition.records = std::move(rest);
  }

  void Fold(const Node& node,
            const std::vector<std::vector<std::pair<uint32_t, RecordBatch>>>& shares) {
    Dataset& dataset = datasets[node.id];
    dataset.exists = Slides(node.id);
    const auto partitions = static_cast<uint32_t>(shares.size());
    const uint32_t stage = self.stage_of_root_[node.id];
    for (uint32_t p = 0; p < partitions; ++p) {
      const LeftOut* left = LeftOutOf(node, p);
      std::vector<std::pair<uint32_t, RecordBatch>> taken = shares[p];
      if (left != nullptr && !left->keys.empty()) {
        for (auto& [input, records] : taken) records = WithoutKeys(node, left->keys, records);
      }
      std::vector<Share> views;
      for (const auto& [input, records] : taken) views.push_back({input, records.view()});
      PlainState* const state = self.StateOf(node, p);
      if (left != nullptr && node.state_by_key) state->Hide(left->keys);
      OperatorContext context{ContextOf(stage, p, partitions), partitions, dataset.exists, state};
      context.task.partitioner = node.partitioner.get();
      const auto partition_operator = node.partition_operator->New();
      Partition to;
      to.stage = stage;
      to.task = p;
      to.total_tasks = partitions;
      to.records.SetFixedSize(partition_operator->output_fixed_size());
      const CurrentTaskScope scope(context.task);
      partition_operator->Run(context, views, to.records);
      if (state != nullptr) state->Hide({});
      Complete(node, to);
      if (dataset.exists) dataset.partitions.push_back(std::move(to));
    }
  }

  OutputResult RunOutput(const Output& output) {
    const Dataset& parent = datasets[output.parent];
    OutputResult result;
    result.has_dataset = parent.exists;
    for (const Partition& from : parent.partitions) {
      RecordBatch rows(output.kernel->output_fixed_size());
      With(from, [&](const TaskContext& context, std::span<const BatchView> records) {
        output.kernel->Run(context, records, rows);
      });
      std::vector<std::string>& part = result.parts.emplace_back();
      const BatchView view = rows.view();
      for (uint32_t i = 0; i < view.count; ++i) part.emplace_back(view.record(i));
    }
    return result;
  }
};

ReferenceInterpreter::ReferenceInterpreter(const LineageGraph& graph, uint32_t default_partitions,
                                           uint32_t key_groups, int64_t zero_ms,
                                           int64_t batch_interval_ms, uint64_t job_instance)
    : graph_(graph),
      default_partitions_(default_partitions),
      key_groups_(key_groups),
      zero_ms_(zero_ms),
      batch_interval_ms_(batch_interval_ms),
      job_instance_(job_instance),
      stage_of_root_(graph.nodes().size()),
      states_(graph.nodes().size()) {
  uint32_t stages = 0;
  for (const Node& node : graph.nodes()) {
    if (node.kind != NodeKind::kNarrow) stage_of_root_[node.id] = stages++;
    if (node.state_name.empty()) continue;
    states_[node.id].resize(node.partitions != 0 ? node.partitions : default_partitions);
    for (auto& state : states_[node.id]) state = std::make_unique<PlainState>();
  }
}

ReferenceInterpreter::~ReferenceInterpreter() = default;

void ReferenceInterpreter::GoOnIn(uint32_t default_partitions, int64_t batch_interval_ms) {
  for (const Node& node : graph_.nodes()) {
    if (node.state_name.empty() || node.partitions != 0) continue;
    std::vector<std::unique_ptr<PlainState>> former = std::move(states_[node.id]);
    states_[node.id].clear();
    const auto partition_operator = node.partition_operator->New();
    if (!partition_operator->spreads()) throw std::invalid_argument(node.label + " cannot spread");
    Spreading spreading;
    spreading.former_partitions = static_cast<uint32_t>(former.size());
    spreading.partitions = default_partitions;
    spreading.key_groups = key_groups_;
    spreading.partitioner = node.partitioner.get();
    for (uint32_t p = 0; p < default_partitions; ++p) {
      PlainState& to = *states_[node.id].emplace_back(std::make_unique<PlainState>());
      spreading.partition = p;
      for (uint32_t q = 0; q < former.size(); ++q) {
        spreading.former = q;
        if (partition_operator->NeedsFormer(spreading)) {
          partition_operator->TakeOver(spreading, *former[q], to);
        }
      }
    }
  }
  default_partitions_ = default_partitions;
  batch_interval_ms_ = batch_interval_ms;
}

ReferenceInterpreter::PlainState* ReferenceInterpreter::StateOf(const Node& node,
                                                                uint32_t partition) {
  return states_[node.id].empty() ? nullptr : states_[node.id][partition].get();
}

std::vector<ReferenceInterpreter::OutputResult> ReferenceInterpreter::RunBatch(
    const std::vector<TaskInputs>& inputs, int64_t batch_ms, const std::set<NodeId>& absent,
    std::vector<std::string> values, const Aside& aside) {
  for (size_t i = values.size(); i < graph_.batch_values().size(); ++i) {
    values.push_back(graph_.batch_values()[i].function(batch_ms));
  }
  Run run{*this,  inputs, batch_ms,
          absent, values, aside,
          std::vector<Dataset>(graph_.nodes().size())};
  for (const Node& node : graph_.nodes()) {
    if (node.kind == NodeKind::kSource) run.RunSource(node);
    else if (node.kind == NodeKind::kNarrow) run.RunNarrow(node);
    else run.RunShuffle(node);
  }
  std::vector<OutputResult> results;
  for (const Output& output : graph_.outputs()) results.push_back(run.RunOutput(output));
  return results;
}

std::vector<ReferenceInterpreter::StateEntry> ReferenceInterpreter::State(NodeId node) const {
  std::vector<StateEntry> entries;
  for (uint32_t p = 0; p < states_[node].size(); ++p) {
    states_[node][p]->ForEach([&](std::string_view key, std::string_view value) {
      entries.push_back({p, std::string(key), std::string(value)});
    });
  }
  return entries;
}

}  // namespace sluice
