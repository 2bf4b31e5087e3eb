#include "driver/api/graph_builder.h"

namespace sluice::internal {

NodeId GraphBuilder::AddNode(Node node) {
  if (frozen_) {
    // Threads of the job read the graph: it must not change. Any node does for the handle.
    Fail(3, "the graph is fixed once the job has started: " + node.label);
    if (!graph_.nodes().empty()) return 0;
  }
  node.slide_ms = node.slide_batches * batch_interval_ms_;
  return graph_.AddNode(std::move(node));
}

void GraphBuilder::AddOutput(Output output) {
  if (frozen_) {
    return Fail(3, "the graph is fixed once the job has started: " + output.label);
  }
  graph_.AddOutput(std::move(output));
}

BatchValueId GraphBuilder::AddBatchValue(BatchValueSpec value) {
  if (frozen_) {
    Fail(3, "the graph is fixed once the job has started: " + value.name);
    return 0;
  }
  return graph_.AddBatchValue(std::move(value));
}

void GraphBuilder::Remember(std::chrono::milliseconds duration) {
  if (frozen_) return Fail(3, "Remember comes too late: the job has started");
  if (duration.count() <= 0) return Fail(3, "Remember needs a duration above 0");
  if (*remember_ms_ != 0) return Fail(3, "Remember was called before; it counts for all streams");
  *remember_ms_ = duration.count();
}

NodeId GraphBuilder::AddShuffle(const ShuffleSpec& spec) {
  Node node;
  node.kind = NodeKind::kShuffle;
  node.label = spec.label;
  if (spec.name_in_label) node.label += " " + spec.state_name;
  node.record_type = spec.record_type();
  node.slide_batches = spec.slide_batches != 0 ? spec.slide_batches : slide_of(spec.parent);
  node.slide_ms = node.slide_batches * batch_interval_ms_;
  node.holds_batches = !spec.state_name.empty() && !spec.name_in_label;
  node.inputs.push_back({spec.parent, *spec.chain, nullptr, spec.shuffle});
  if (spec.second != nullptr) {
    node.inputs.push_back(*spec.second);
    if (slide_of(spec.second->parent) != slide_of(spec.parent)) {
      Fail(3, node.label + " needs streams of the same slide");
    }
  }
  node.partitions = spec.partitions.count;
  node.partitioner = spec.partitions.partitioner;
  node.take_key = spec.partitions.take_key;
  node.state_by_key = spec.name_in_label;
  if (!spec.partitions.fits) Fail(3, node.label + " has a partitioner for another type of key");
  node.partition_operator = spec.partition_operator;
  node.state_type = spec.state_type;
  node.state_name = spec.name_in_label || spec.state_name.empty()
                        ? spec.state_name
                        : NameByShape(spec.state_name, node);
  if (spec.name_in_label && spec.state_name.empty()) {
    Fail(3, std::string(spec.label) + " needs a name for its state");
  }
  return AddNode(std::move(node));
}

void GraphBuilder::AddPrint(NodeId parent, const std::string& chain,
                            std::shared_ptr<const NarrowKernel> kernel, uint32_t limit) {
  Output output;
  output.kind = OutputKind::kPrint;
  output.label = "Print";
  output.parent = parent;
  output.chain = chain;
  output.kernel = std::move(kernel);
  output.print_limit = limit;
  AddOutput(std::move(output));
}

void GraphBuilder::AddFiles(Output output) {
  const std::string& prefix = output.prefix;
  const bool bucket = prefix.starts_with("s3://") && prefix.find('/', 5) < prefix.size() - 1;
  if (!prefix.starts_with('/') && !bucket && !prefix.empty()) {
    Fail(2, output.label + ": the prefix must be an absolute path or s3://bucket/prefix: " +
                prefix);
  }
  if (Rolls(output) && output.roll_after_ms <= 0) {
    Fail(3, output.label + ": roll_after must be above 0");
  }
  constexpr uint64_t kObjectBytesMax = uint64_t{1} << 30;
  if (output.kind == OutputKind::kObjectFiles && output.roll_bytes > kObjectBytesMax) {
    Fail(3, output.label + ": roll_bytes of object files is at most 1 GiB");
  }
  AddOutput(std::move(output));
}

void GraphBuilder::AddForeachBatch(NodeId parent, const std::string& chain,
                                   std::shared_ptr<const NarrowKernel> kernel,
                                   std::shared_ptr<const ForeachKernel> foreach_batch) {
  Output output;
  output.kind = OutputKind::kForeachBatch;
  output.label = "ForeachBatch";
  output.parent = parent;
  output.chain = chain;
  output.kernel = std::move(kernel);
  output.foreach_batch = std::move(foreach_batch);
  AddOutput(std::move(output));
}

void GraphBuilder::AddForeachPartition(NodeId parent, const std::string& chain,
                                       std::shared_ptr<const NarrowKernel> kernel,
                                       std::shared_ptr<const PartitionKernel> foreach_partition) {
  Output output;
  output.kind = OutputKind::kForeachPartition;
  output.label = "ForeachPartition";
  output.parent = parent;
  output.chain = chain;
  output.kernel = std::move(kernel);
  output.foreach_partition = std::move(foreach_partition);
  AddOutput(std::move(output));
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

int GraphBuilder::NextOf(std::string_view what) {
  for (auto& [name, next] : numbers_) {
    if (name == what) return next++;
  }
  numbers_.emplace_back(what, 1);
  return 0;
}

std::string GraphBuilder::NameByShape(const std::string& base, const Node& node) {
  char shape[17];
  std::snprintf(shape, sizeof shape, "%016llx",
                static_cast<unsigned long long>(graph_.ShapeOf(node)));
  const std::string name = base + "-" + shape;
  const int before = NextOf(name);  // of the very same shape
  return before == 0 ? name : name + "-" + std::to_string(before);
}

std::string GraphBuilder::Numbered(std::string_view base) {
  return std::string(base) + "-" + std::to_string(NextOf(base));
}

}  // namespace sluice::internal
