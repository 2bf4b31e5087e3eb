#include "common/plan/stages.h"

#include <algorithm>
#include <utility>

#include "common/plan/task_seed.h"

namespace sluice {
namespace {

// Fragments of each node, in the order of the node's partitions.
using FragmentsOfNode = std::vector<std::vector<FragmentId>>;

}  // namespace

StagePlan::StagePlan(const LineageGraph& graph, uint32_t default_partitions) : graph_(&graph) {
  const std::vector<Node>& nodes = graph.nodes();
  FragmentsOfNode of_node(nodes.size());
  stage_of_node_.assign(nodes.size(), 0);
  for (const Node& node : nodes) {
    if (node.kind == NodeKind::kNarrow) {
      for (uint32_t i = 0; i < node.inputs.size(); ++i) {
        for (const FragmentId parent : of_node[node.inputs[i].parent]) {
          const StageId stage = fragments_[parent].stage;
          const FragmentId id = static_cast<FragmentId>(fragments_.size());
          fragments_.push_back(
              {id, node.id, stage, static_cast<int>(i), parent,
               WayThrough(fragments_[parent].way, i, node.inputs.size())});
          stages_[stage].fragments.push_back(id);
          of_node[node.id].push_back(id);
        }
      }
      continue;
    }
    Stage stage;
    stage.id = static_cast<StageId>(stages_.size());
    stage.root = node.id;
    stage.is_source = node.kind == NodeKind::kSource;
    if (!stage.is_source) {
      stage.partitions = node.partitions != 0 ? node.partitions : default_partitions;
    }
    for (uint32_t i = 0; i < node.inputs.size(); ++i) {
      for (const FragmentId from : of_node[node.inputs[i].parent]) {
        const EdgeId id = static_cast<EdgeId>(edges_.size());
        edges_.push_back({id, node.id, i, from});
        stage.edges_in.push_back(id);
        const StageId sender = fragments_[from].stage;
        stages_[sender].edges_out.push_back(id);
        stage.upstream.push_back(sender);
      }
    }
    std::sort(stage.upstream.begin(), stage.upstream.end());
    stage.upstream.erase(std::unique(stage.upstream.begin(), stage.upstream.end()),
                         stage.upstream.end());
    const FragmentId root = static_cast<FragmentId>(fragments_.size());
    fragments_.push_back({root, node.id, stage.id, -1, root});
    stage.fragments.push_back(root);
    of_node[node.id].push_back(root);
    stage_of_node_[node.id] = stage.id;
    stages_.push_back(std::move(stage));
  }
  for (const Output& output : graph.outputs()) {
    for (const FragmentId from : of_node[output.parent]) {
      stages_[fragments_[from].stage].output_pieces.push_back(
          static_cast<uint32_t>(output_pieces_.size()));
      output_pieces_.push_back({output.id, from});
    }
  }
}

const Stage& StagePlan::stage_of(EdgeId edge) const {
  return stages_[stage_of_node_[edges_[edge].node]];
}

StageId StagePlan::source_stage(NodeId source) const { return stage_of_node_[source]; }

std::string StagePlan::OperatorKey(StageId stage) const {
  const Node& node = graph_->node(stages_[stage].root);
  if (!node.state_name.empty()) return "state " + node.state_name;
  uint32_t alike = 0;
  for (StageId before = 0; before < stage; ++before) {
    const Node& other = graph_->node(stages_[before].root);
    alike += !stages_[before].is_source && other.state_name.empty() && other.shape == node.shape;
  }
  return node.label + " " + std::to_string(node.shape) + " #" + std::to_string(alike);
}

std::string StagePlan::ShareType(StageId stage) const {
  const Node& node = graph_->node(stages_[stage].root);
  return node.share_type.empty() ? "what makes " + node.record_type : node.share_type;
}

Presence::Presence(const StagePlan& plan, int64_t tick, const std::vector<StageId>& absent,
                   const std::vector<StageId>& fed)
    : runs_(plan.stages().size()), has_(plan.fragments().size()) {
  for (const Stage& stage : plan.stages()) {
    const Node& root = plan.graph().node(stage.root);
    bool runs = stage.is_source &&
                std::find(absent.begin(), absent.end(), stage.id) == absent.end();
    runs |= std::find(fed.begin(), fed.end(), stage.id) != fed.end();
    for (const EdgeId edge : stage.edges_in) {
      const FragmentId from = plan.edges()[edge].from;
      runs |= has_[from] != 0;
      runs |= !root.state_name.empty() && plan.Emits(plan.fragments()[from].node, tick);
    }
    runs_[stage.id] = runs;
    for (const FragmentId id : stage.fragments) {
      const Fragment& fragment = plan.fragments()[id];
      has_[id] = fragment.input < 0 ? runs && plan.Emits(stage.root, tick) : has_[fragment.parent];
    }
  }
}

std::string StagePlan::Explain() const {
  std::string text;
  const auto piece_of = [&](FragmentId fragment) {
    const Fragment& f = fragments_[fragment];
    return graph_->node(f.node).label;
  };
  for (const Stage& stage : stages_) {
    const Node& root = graph_->node(stage.root);
    text += "stage " + std::to_string(stage.id) + ": " + root.label;
    if (!root.record_type.empty()) text += "  " + root.record_type;
    if (stage.is_source) {
      text += "  [map tasks: one per slot]";
    } else {
      text += "  [" + std::to_string(stage.partitions) + " partitions]";
    }
    if (!root.state_name.empty()) text += "  state \"" + root.state_name + "\"";
    if (root.slide_batches > 1) {
      text += "  every " + std::to_string(root.slide_batches) + " batches";
    }
    text += "\n";
    for (const FragmentId id : stage.fragments) {
      const Fragment& f = fragments_[id];
      if (f.input < 0) continue;
      const Node& node = graph_->node(f.node);
      text += "  " + piece_of(f.parent) + " > " + node.inputs[f.input].chain + " > " + node.label;
      text += "  (stored)\n";
    }
    const size_t consumers = stage.edges_out.size() + stage.output_pieces.size();
    for (const EdgeId id : stage.edges_out) {
      const Edge& edge = edges_[id];
      const Node& node = graph_->node(edge.node);
      text += "  " + piece_of(edge.from) + " > " + node.inputs[edge.input].chain +
              " => shuffle to stage " + std::to_string(stage_of_node_[edge.node]) + "\n";
    }
    for (const uint32_t index : stage.output_pieces) {
      const OutputPiece& piece = output_pieces_[index];
      const Output& output = graph_->outputs()[piece.output];
      text += "  " + piece_of(piece.from) + " > " + output.chain + " => " + output.label + "\n";
    }
    if (consumers > 1) {
      text += "  fork: " + std::to_string(consumers) +
              " consumers; each runs the narrow chain written on its line\n";
    }
  }
  return text;
}

Ownership::Ownership(std::vector<uint32_t> slots_of_member)
    : members_(static_cast<uint32_t>(slots_of_member.size())) {
  for (uint32_t member = 0; member < slots_of_member.size(); ++member) {
    member_of_slot_.insert(member_of_slot_.end(), slots_of_member[member], member);
  }
}

}  // namespace sluice
