// The reference interpreter: runs a lineage graph batch by batch in the plainest way, on one
// thread, with state in maps. The oracle of the simulator and of whole-system tests: what it gives
// is what every run of the engine must give, whatever is killed.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
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

  // Runs the next batch. `inputs` is indexed by node id (others than sources are ignored; a source
  // beyond its end has no tasks). The sources in `absent` have no dataset. `values` are those of
  // the batch's plan; without them their functions are asked. Batch times must grow.
  // Results are indexed by output id.
  // User functions may throw; state is then as if some of the batch had run.
  std::vector<OutputResult> RunBatch(const std::vector<TaskInputs>& inputs, int64_t batch_ms,
                                     const std::set<NodeId>& absent = {},
                                     std::vector<std::string> values = {});

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

  KeyedState* StateOf(const Node& node, uint32_t partition);

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
