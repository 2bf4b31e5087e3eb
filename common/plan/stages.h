// Cuts the lineage graph into stages, and answers everything about them that driver and
// executors must agree on. A pure function of graph and partition count.
//
// A stage is the work between two shuffles: its root is a source or a shuffle node. What is
// computed there are *fragments*: one (node, way to reach it) per union path, so that a union's
// partitions are its left input's and then its right's. Shares travel along *edges*: a shuffle
// node's inputs, one edge per fragment of the parent.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/plan/graph.h"
#include "common/plan/key_groups.h"

namespace sluice {

using StageId = uint32_t;
using FragmentId = uint32_t;
using EdgeId = uint32_t;

struct Fragment {
  FragmentId id = 0;
  NodeId node = 0;
  StageId stage = 0;
  int input = -1;            // which input of the narrow node; -1: the stage's root
  FragmentId parent = 0;     // fragment whose dataset the input reads; itself for a root
  uint64_t way = 0;          // through unions, for random numbers (task_seed.h)
};

struct Edge {
  EdgeId id = 0;             // edges of a node are numbered in fold order
  NodeId node = 0;           // the shuffle node
  uint32_t input = 0;
  FragmentId from = 0;
};

// One fragment of an output's parent. An output's partitions are those of its pieces, in order.
struct OutputPiece {
  OutputId output = 0;
  FragmentId from = 0;
};

struct Stage {
  StageId id = 0;
  NodeId root = 0;
  bool is_source = false;
  uint32_t partitions = 0;             // of a shuffle stage; 0 for a source stage
  std::vector<FragmentId> fragments;   // in an order in which they can be computed; root first
  std::vector<EdgeId> edges_out;
  std::vector<EdgeId> edges_in;        // in fold order
  std::vector<StageId> upstream;       // distinct stages of edges_in, ascending
  std::vector<uint32_t> output_pieces; // indexes into StagePlan::output_pieces
};

class StagePlan {
 public:
  // `graph` must be valid and outlive the plan. `default_partitions` > 0.
  StagePlan(const LineageGraph& graph, uint32_t default_partitions);

  const LineageGraph& graph() const { return *graph_; }
  const std::vector<Stage>& stages() const { return stages_; }  // upstream before downstream
  const std::vector<Fragment>& fragments() const { return fragments_; }
  const std::vector<Edge>& edges() const { return edges_; }
  const std::vector<OutputPiece>& output_pieces() const { return output_pieces_; }
  const Stage& stage_of(EdgeId edge) const;       // the stage that folds it
  StageId source_stage(NodeId source) const;
  // What the operator of a shuffle stage is in every program that has it: by the name of its state,
  // else by what it does and reads, and of several alike by their order.
  std::string OperatorKey(StageId stage) const;
  // The records that come to it over the shuffle, in words. Equal for two operators of one key if
  // one takes what came for the other.
  std::string ShareType(StageId stage) const;

  // `tick` = (batch time - zero time) / batch interval, from 1.
  bool Emits(NodeId node, int64_t tick) const {
    return tick % graph_->node(node).slide_batches == 0;
  }

  // The stages as text, for --explain.
  std::string Explain() const;

 private:
  const LineageGraph* graph_;
  std::vector<Stage> stages_;
  std::vector<Fragment> fragments_;
  std::vector<Edge> edges_;
  std::vector<OutputPiece> output_pieces_;
  std::vector<StageId> stage_of_node_;
};

// Which datasets there are at one batch. Between two slides there is none; a source that has
// nothing to say has none, and then neither has what hangs on it alone. An operator with state
// (a window, UpdateStateByKey) runs and emits all the same. So does one that gets letters which are
// run again. Everybody computes it alike.
class Presence {
 public:
  Presence() = default;
  // `absent`: the source stages that have nothing to say in this batch. `fed`: the shuffle stages
  // that get letters.
  Presence(const StagePlan& plan, int64_t tick, const std::vector<StageId>& absent = {},
           const std::vector<StageId>& fed = {});

  // The stage has tasks: it takes in shares, or reads its source.
  bool Runs(StageId stage) const { return runs_[stage] != 0; }
  // The fragment has a dataset; shares and output are made from it.
  bool Has(FragmentId fragment) const { return has_[fragment] != 0; }

 private:
  std::vector<char> runs_;  // by stage
  std::vector<char> has_;   // by fragment
};

// Who owns what, from the ordered members of a generation and their slots. Partition p of n is
// at member OwnerOf(p, n); so is map task p of n. A member without slots has only what was set
// apart for it.
class Ownership {
 public:
  explicit Ownership(std::vector<uint32_t> slots_of_member);
  uint32_t OwnerOf(uint32_t index, uint32_t count) const {
    return member_of_slot_[uint64_t{index} * member_of_slot_.size() / count];
  }
  // Of a shuffle stage's partition, which may have been set apart.
  uint32_t OwnerOf(StageId stage, uint32_t partition, uint32_t count) const {
    const auto apart = apart_.find({stage, partition});
    return apart == apart_.end() ? OwnerOf(partition, count) : apart->second;
  }
  // This partition is at `member`, whatever the slots say.
  void SetApart(StageId stage, uint32_t partition, uint32_t member) {
    apart_[{stage, partition}] = member;
  }
  uint32_t members() const { return members_; }
  uint32_t slots() const { return static_cast<uint32_t>(member_of_slot_.size()); }

 private:
  std::vector<uint32_t> member_of_slot_;
  std::map<std::pair<StageId, uint32_t>, uint32_t> apart_;
  uint32_t members_;
};

}  // namespace sluice
