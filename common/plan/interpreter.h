// The reference interpreter: runs a lineage graph batch by batch in the plainest way, on one
// thread, with state in maps. The oracle of the simulator and of whole-system tests: what it gives
// is what every run of the engine must give, whatever is killed.
//
// It runs the graph's own kernels and partition operators. What it does by itself, and so can show
// to be wrong in the engine, is what lies around them: which nodes run at a batch and which have a
// dataset, slides, the tasks and the order of their shares, random numbers, letters, and the state
// container with its timers. A mistake in an operator is in both: that operators are right is shown
// by the golden cases, worked out by hand, and by a model of its own (tests/golden/model.h).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/plan/graph.h"

namespace sluice {

class ReferenceInterpreter {
 public:
  // The input of a source at one batch: what each map task reads, as encoded record batches in
  // order. Tasks without blocks count: they are partitions too.
  using TaskInputs = std::vector<std::vector<std::string>>;

  struct OutputResult {
    bool has_dataset = false;
    // Per partition the rows in order: lines of text, or for ForeachBatch encoded records.
    std::vector<std::vector<std::string>> parts;
  };

  // `graph` must be valid and outlive the interpreter. Random numbers are those of the instance.
  ReferenceInterpreter(const LineageGraph& graph, uint32_t default_partitions, uint32_t key_groups,
                       int64_t zero_ms, int64_t batch_interval_ms, uint64_t job_instance = 0);
  ~ReferenceInterpreter();

  // What a partition of a shuffle node gets of letters that are run again.
  struct LetterInput {
    NodeId node = 0;
    uint32_t partition = 0;
    uint32_t input = 0;   // of the node,
    bool is_row = false;  // or a row of its dataset
    std::string encoded;
  };
  // What a partition of a shuffle node lacks.
  struct LeftOut {
    std::set<uint64_t> rows;  // places in its dataset
    std::set<std::string> keys;
  };
  struct Aside {
    std::vector<LetterInput> letters;
    std::map<std::pair<NodeId, uint32_t>, LeftOut> left_out;
  };

  // Runs the next batch. `inputs` is indexed by node id (others than sources are ignored; a source
  // beyond its end has no tasks). The sources in `absent` have no dataset. `values` are those of
  // the batch's plan; without them their functions are asked. `aside` is what comes and goes behind
  // shuffles because user code fails. Batch times must grow.
  // Results are indexed by output id.
  // User functions may throw; state is then as if some of the batch had run.
  std::vector<OutputResult> RunBatch(const std::vector<TaskInputs>& inputs, int64_t batch_ms,
                                     const std::set<NodeId>& absent = {},
                                     std::vector<std::string> values = {},
                                     const Aside& aside = {});

  // The batches to come are run in another number of partitions, and under another interval; the
  // graph must be good for it, and all its state must spread.
  void GoOnIn(uint32_t default_partitions, int64_t batch_interval_ms);

  // The state of a stateful node as (partition, key, value), in iteration order, for comparison.
  struct StateEntry {
    uint32_t partition;
    std::string key, value;
    bool operator==(const StateEntry&) const = default;
  };
  std::vector<StateEntry> State(NodeId node) const;

 private:
  struct Partition;
  struct Dataset;
  class PlainState;
  struct Run;

  PlainState* StateOf(const Node& node, uint32_t partition);

  const LineageGraph& graph_;
  uint32_t default_partitions_;
  const uint32_t key_groups_;
  const int64_t zero_ms_;
  int64_t batch_interval_ms_;
  const uint64_t job_instance_;
  std::vector<uint32_t> stage_of_root_;  // of a narrow node: unused
  // states_[node][partition]
  std::vector<std::vector<std::unique_ptr<PlainState>>> states_;
};

}  // namespace sluice
