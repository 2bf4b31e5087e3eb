#include "driver/api/graph_builder.h"

#include <utility>
#include <vector>

#include "common/plan/graph.h"

namespace sluice::internal {
namespace {

constexpr uint32_t kPartitionsMax = 65536;  // as of the setting

// An output of the stream, complete but for what its kind has of its own.
Output OutputOf(OutputKind kind, const char* label, const StreamPlace& from,
                std::shared_ptr<const NarrowKernel> kernel) {
  Output output;
  output.kind = kind;
  output.label = label;
  output.parent = from.parent;
  output.chain = from.operators;
  output.kernel = std::move(kernel);
  return output;
}

}  // namespace

std::shared_ptr<const NarrowKernel> Adopt(const NarrowKernel* made) {
  return std::shared_ptr<const NarrowKernel>(made);
}
std::shared_ptr<const ShuffleKernelFactory> Adopt(const ShuffleKernelFactory* made) {
  return std::shared_ptr<const ShuffleKernelFactory>(made);
}
std::shared_ptr<const PartitionOperatorFactory> Adopt(const PartitionOperatorFactory* made) {
  return std::shared_ptr<const PartitionOperatorFactory>(made);
}
std::shared_ptr<const ForeachKernel> Adopt(const ForeachKernel* made) {
  return std::shared_ptr<const ForeachKernel>(made);
}
std::shared_ptr<const PartitionKernel> Adopt(const PartitionKernel* made) {
  return std::shared_ptr<const PartitionKernel>(made);
}
std::shared_ptr<const ReceiverFactory> Adopt(const ReceiverFactory* made) {
  return std::shared_ptr<const ReceiverFactory>(made);
}

Partitioning::Partitioning(uint32_t partitions, const Partitioner& chosen,
                           std::string (*key_type)(), TakeKeyFunction take)
    : count(partitions),
      partitioner(chosen.function),
      fits(partitioner == nullptr || chosen.key_type == key_type()),
      take_key(take) {}
Partitioning::Partitioning(const Partitioning&) = default;
Partitioning& Partitioning::operator=(const Partitioning&) = default;
Partitioning::~Partitioning() = default;

StreamPlace::StreamPlace(std::shared_ptr<GraphBuilder> graph_of, NodeId parent_of)
    : graph(std::move(graph_of)), parent(parent_of) {}
StreamPlace::StreamPlace(const StreamPlace&) = default;
StreamPlace::StreamPlace(StreamPlace&&) noexcept = default;
StreamPlace& StreamPlace::operator=(const StreamPlace&) = default;
StreamPlace& StreamPlace::operator=(StreamPlace&&) noexcept = default;
StreamPlace::~StreamPlace() = default;

StreamPlace StreamPlace::Then(std::string_view name) const {
  StreamPlace next = *this;
  if (!next.operators.empty()) next.operators += ", ";
  next.operators += name;
  return next;
}

int64_t StreamPlace::slide_batches() const { return graph->slide_of(parent); }

ShuffleSpec::~ShuffleSpec() = default;

StreamPlace AddShuffleNode(const StreamPlace& from, const ShuffleSpec& spec) {
  return StreamPlace(from.graph, from.graph->AddShuffle(from, spec));
}

NarrowNode::NarrowNode(std::shared_ptr<GraphBuilder> graph, std::string_view name)
    : graph_(std::move(graph)), node_(new Node()) {
  node_->kind = NodeKind::kNarrow;
  node_->label = name;
}
NarrowNode::~NarrowNode() { delete node_; }

void NarrowNode::Read(const StreamPlace& input, std::shared_ptr<const NarrowKernel> kernel) {
  if (input.graph != graph_) {
    return graph_->Fail(3, node_->label + " needs streams of one context");
  }
  if (node_->inputs.empty()) node_->slide_batches = input.slide_batches();
  if (input.slide_batches() != node_->slide_batches) {
    graph_->Fail(3, node_->label + " needs streams of the same slide");
  }
  node_->inputs.push_back({input.parent, input.operators, std::move(kernel), nullptr});
}

StreamPlace NarrowNode::Add(std::string record_type) {
  if (node_->inputs.empty()) {
    graph_->Fail(3, node_->label + " needs at least one stream");
    node_->kind = NodeKind::kSource;
  }
  node_->record_type = std::move(record_type);
  return StreamPlace(graph_, graph_->AddNode(std::move(*node_)));
}

struct GraphBuilder::Declared {
  const int64_t batch_interval_ms;
  LineageGraph graph{};
  Outcome error{};
  bool frozen = false;
  bool needs_remember = false;
  const std::shared_ptr<int64_t> remember_ms = std::make_shared<int64_t>(0);
  std::vector<std::pair<std::string, int>> numbers{};
};

GraphBuilder::GraphBuilder(std::chrono::milliseconds batch_interval)
    : declared_(new Declared{batch_interval.count()}) {}
GraphBuilder::~GraphBuilder() { delete declared_; }

void GraphBuilder::NeedRemember() { declared_->needs_remember = true; }
bool GraphBuilder::lacks_remember() const {
  return declared_->needs_remember && *declared_->remember_ms == 0;
}
std::shared_ptr<const int64_t> GraphBuilder::remember_ms() const { return declared_->remember_ms; }
void GraphBuilder::Freeze() { declared_->frozen = true; }
bool GraphBuilder::frozen() const { return declared_->frozen; }
int64_t GraphBuilder::slide_of(NodeId node) const { return graph().node(node).slide_batches; }
int64_t GraphBuilder::batch_interval_ms() const { return declared_->batch_interval_ms; }
const LineageGraph& GraphBuilder::graph() const { return declared_->graph; }
const Outcome& GraphBuilder::error() const { return declared_->error; }

NodeId GraphBuilder::AddNode(Node node) {
  if (frozen()) {
    // Threads of the job read the graph: it must not change. Any node does for the handle.
    Fail(3, "the graph is fixed once the job has started: " + node.label);
    if (!declared_->graph.nodes().empty()) return 0;
  }
  node.slide_ms = node.slide_batches * batch_interval_ms();
  return declared_->graph.AddNode(std::move(node));
}

void GraphBuilder::AddOutput(Output output) {
  if (frozen()) {
    return Fail(3, "the graph is fixed once the job has started: " + output.label);
  }
  declared_->graph.AddOutput(std::move(output));
}

BatchValueId GraphBuilder::AddBatchValue(std::string name, std::string type,
                                         std::function<std::string(int64_t batch_ms)> function) {
  if (frozen()) {
    Fail(3, "the graph is fixed once the job has started: " + name);
    return 0;
  }
  return declared_->graph.AddBatchValue({std::move(name), std::move(type), std::move(function)});
}

void GraphBuilder::Remember(std::chrono::milliseconds duration) {
  if (frozen()) return Fail(3, "Remember comes too late: the job has started");
  if (duration.count() <= 0) return Fail(3, "Remember needs a duration above 0");
  if (*declared_->remember_ms != 0) {
    return Fail(3, "Remember was called before; it counts for all streams");
  }
  *declared_->remember_ms = duration.count();
}

NodeId GraphBuilder::AddShuffle(const StreamPlace& from, const ShuffleSpec& spec) {
  Node node;
  node.kind = NodeKind::kShuffle;
  node.label = spec.label;
  if (spec.name_in_label) node.label += " " + spec.state_name;
  node.record_type = spec.record_type();
  node.slide_batches = spec.slide_batches != 0 ? spec.slide_batches : slide_of(from.parent);
  node.slide_ms = node.slide_batches * batch_interval_ms();
  node.holds_batches = !spec.state_name.empty() && !spec.name_in_label;
  node.inputs.push_back({from.parent, from.operators, nullptr, spec.shuffle});
  if (spec.second != nullptr) {
    const StreamPlace& second = *spec.second;
    if (second.graph.get() != this) {
      Fail(3, node.label + " needs streams of one context");
      return 0;
    }
    node.inputs.push_back({second.parent, second.operators, nullptr, spec.second_shuffle});
    if (slide_of(second.parent) != slide_of(from.parent)) {
      Fail(3, node.label + " needs streams of the same slide");
    }
  }
  node.partitions = spec.partitions.count;
  if (node.partitions > kPartitionsMax) {
    Fail(3, node.label + " has " + std::to_string(node.partitions) + " partitions; " +
                std::to_string(kPartitionsMax) + " are the most");
  }
  node.partitioner = spec.partitions.partitioner;
  node.take_key = spec.partitions.take_key;
  node.state_by_key = spec.name_in_label;
  if (spec.share_type != nullptr) node.share_type = spec.share_type();
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

void GraphBuilder::AddPrint(const StreamPlace& from, std::shared_ptr<const NarrowKernel> kernel,
                            uint32_t limit) {
  Output output = OutputOf(OutputKind::kPrint, "Print", from, std::move(kernel));
  output.print_limit = limit;
  AddOutput(std::move(output));
}

void GraphBuilder::AddTextFiles(const StreamPlace& from,
                                std::shared_ptr<const NarrowKernel> kernel,
                                const std::string& prefix, const std::string& suffix,
                                const SaveOptions& options) {
  AddFiles(OutputOf(OutputKind::kTextFiles, "SaveAsTextFiles", from, std::move(kernel)), prefix,
           suffix, options);
}

void GraphBuilder::AddFormattedFiles(const StreamPlace& from,
                                     std::shared_ptr<const NarrowKernel> kernel,
                                     std::string header, std::string footer,
                                     const std::string& prefix, const std::string& suffix,
                                     const SaveOptions& options) {
  Output output = OutputOf(OutputKind::kTextFiles, "SaveAsFiles", from, std::move(kernel));
  output.header = std::move(header);
  output.footer = std::move(footer);
  output.row_end = "";
  AddFiles(std::move(output), prefix, suffix, options);
}

void GraphBuilder::AddObjectFiles(const StreamPlace& from,
                                  std::shared_ptr<const NarrowKernel> kernel,
                                  std::string record_type, const std::string& prefix,
                                  const std::string& suffix, const SaveOptions& options) {
  Output output = OutputOf(OutputKind::kObjectFiles, "SaveAsObjectFiles", from, std::move(kernel));
  output.record_type = std::move(record_type);
  AddFiles(std::move(output), prefix, suffix, options);
}

void GraphBuilder::AddFiles(Output output, const std::string& prefix, const std::string& suffix,
                            const SaveOptions& options) {
  output.prefix = prefix;
  output.suffix = suffix;
  output.overwrite = options.overwrite;
  output.roll_bytes = options.roll_bytes;
  output.roll_after_ms = options.roll_after.count();
  const bool bucket = prefix.starts_with("s3://") && prefix.find('/', 5) < prefix.size() - 1;
  if (!prefix.starts_with('/') && !bucket && !prefix.empty()) {
    Fail(2, output.label + ": the prefix must be an absolute path or s3://bucket/prefix: " +
                prefix);
  }
  for (const Output& other : declared_->graph.outputs()) {
    if (!prefix.empty() && other.prefix == prefix && other.suffix == suffix) {
      Fail(2, output.label + ": another output has this prefix and suffix: " + prefix);
    }
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

void GraphBuilder::AddForeachBatch(const StreamPlace& from,
                                   std::shared_ptr<const NarrowKernel> kernel,
                                   std::shared_ptr<const ForeachKernel> foreach_batch) {
  Output output = OutputOf(OutputKind::kForeachBatch, "ForeachBatch", from, std::move(kernel));
  output.foreach_batch = std::move(foreach_batch);
  AddOutput(std::move(output));
}

void GraphBuilder::AddForeachPartition(const StreamPlace& from,
                                       std::shared_ptr<const NarrowKernel> kernel,
                                       std::shared_ptr<const PartitionKernel> foreach_partition) {
  Output output =
      OutputOf(OutputKind::kForeachPartition, "ForeachPartition", from, std::move(kernel));
  output.foreach_partition = std::move(foreach_partition);
  AddOutput(std::move(output));
}

void GraphBuilder::Fail(int exit_code, std::string message) {
  if (declared_->error.ok()) declared_->error = {exit_code, std::move(message)};
}

int64_t GraphBuilder::Batches(std::string_view what, std::chrono::milliseconds duration,
                              int64_t slide_batches) {
  const int64_t unit_ms = slide_batches * batch_interval_ms();
  if (duration.count() > 0 && duration.count() % unit_ms == 0) {
    return duration.count() / batch_interval_ms();
  }
  Fail(3, std::string(what) + " must be a positive multiple of the stream's slide of " +
              std::to_string(unit_ms) + " ms; it is " + std::to_string(duration.count()) + " ms");
  return slide_batches;
}

int GraphBuilder::NextOf(std::string_view what) {
  for (auto& [name, next] : declared_->numbers) {
    if (name == what) return next++;
  }
  declared_->numbers.emplace_back(what, 1);
  return 0;
}

std::string GraphBuilder::NameByShape(const std::string& base, const Node& node) {
  char shape[17];
  std::snprintf(shape, sizeof shape, "%016llx",
                static_cast<unsigned long long>(declared_->graph.ShapeOf(node)));
  const std::string name = base + "-" + shape;
  const int before = NextOf(name);  // of the very same shape
  return before == 0 ? name : name + "-" + std::to_string(before);
}

std::string GraphBuilder::Numbered(std::string_view base) {
  return std::string(base) + "-" + std::to_string(NextOf(base));
}

}  // namespace sluice::internal
