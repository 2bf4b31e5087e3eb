#include "driver/api/graph_builder.h"

namespace sluice::internal {

NodeId GraphBuilder::AddNode(Node node) {
  if (frozen_) Fail(3, "the graph is fixed once the job has started: " + node.label);
  return graph_.AddNode(std::move(node));
}

void GraphBuilder::AddOutput(Output output) {
  if (frozen_) Fail(3, "the graph is fixed once the job has started: " + output.label);
  graph_.AddOutput(std::move(output));
}

NodeId GraphBuilder::AddShuffle(
    std::string label, std::string record_type, NodeInput input,
    std::shared_ptr<const PartitionOperatorFactory> partition_operator, uint32_t partitions) {
  Node node;
  node.kind = NodeKind::kShuffle;
  node.label = std::move(label);
  node.record_type = std::move(record_type);
  node.slide_batches = slide_of(input.parent);
  node.inputs.push_back(std::move(input));
  node.partitions = partitions;
  node.partition_operator = std::move(partition_operator);
  return AddNode(std::move(node));
}

void GraphBuilder::Fail(int exit_code, std::string message) {
  if (error_.ok()) error_ = {exit_code, std::move(message)};
}

int64_t GraphBuilder::Batches(std::string_view what, std::chrono::milliseconds duration,
                              int64_t slide_batches) {
  const int64_t unit_ms = slide_batches * batch_interval_ms_;
  if (duration.count() > 0 && duration.count() % unit_ms == 0) {
    return duration.count() / batch_interval_ms_;
  }
  Fail(3, std::string(what) + " must be a positive multiple of the stream's slide of " +
              std::to_string(unit_ms) + " ms; it is " + std::to_string(duration.count()) + " ms");
  return slide_batches;
}

std::string GraphBuilder::Numbered(std::string_view base) {
  for (auto& [name, next] : numbers_) {
    if (name == base) return name + "-" + std::to_string(next++);
  }
  numbers_.emplace_back(base, 1);
  return std::string(base) + "-0";
}

}  // namespace sluice::internal
