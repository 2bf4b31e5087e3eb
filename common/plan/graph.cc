#include "common/plan/graph.h"

#include <algorithm>
#include <set>
#include <utility>

namespace sluice {
namespace {

// FNV-1a over the text form: a fingerprint compares two builds, it does not protect.
class Fingerprinter {
 public:
  void Add(std::string_view text) {
    for (const unsigned char c : text) Mix(c);
    Mix(0xff);
  }
  void Add(int64_t number) { Add(std::string_view(std::to_string(number))); }
  uint64_t value() const { return value_; }

 private:
  void Mix(unsigned char c) { value_ = (value_ ^ c) * 0x100000001b3ull; }
  uint64_t value_ = 0xcbf29ce484222325ull;
};

// 0: that of its input.
int64_t OwnSlide(const Node& node, const std::vector<Node>& nodes) {
  const bool has_input = !node.inputs.empty() && node.inputs[0].parent < nodes.size();
  const int64_t given = has_input ? nodes[node.inputs[0].parent].slide_batches : 1;
  if (node.slide_batches == given) return 0;
  return node.slide_ms != 0 ? node.slide_ms : node.slide_batches;
}

void AddNode(const Node& node, const std::vector<Node>& nodes, Fingerprinter& print) {
  print.Add(static_cast<int64_t>(node.kind));
  print.Add(node.label);
  print.Add(node.record_type);
  print.Add(OwnSlide(node, nodes));
  print.Add(static_cast<int64_t>(node.source.kind));
  print.Add(node.source.stream);
  print.Add(node.source.directory);
  print.Add(static_cast<int64_t>(node.source.file_format));
  print.Add(node.source.record_length);
  if (node.source.constant != nullptr) print.Add(*node.source.constant);
  print.Add(node.partitions);
  print.Add(int64_t{node.partitioner != nullptr});
  print.Add(node.state_name);
  print.Add(node.state_type);
  for (const NodeInput& input : node.inputs) {
    print.Add(input.parent);
    print.Add(input.chain);
  }
}

}  // namespace

std::string SourceKey(const SourceSpec& source) {
  const std::string kind = std::to_string(static_cast<int>(source.kind));
  if (source.kind != SourceKind::kFiles) return kind + " " + source.stream;
  return kind + " " + std::to_string(static_cast<int>(source.file_format)) + " " +
         source.directory;
}

NodeId LineageGraph::AddNode(Node node) {
  node.id = static_cast<NodeId>(nodes_.size());
  node.shape = ShapeOf(node);
  nodes_.push_back(std::move(node));
  return nodes_.back().id;
}

OutputId LineageGraph::AddOutput(Output output) {
  output.id = static_cast<OutputId>(outputs_.size());
  outputs_.push_back(std::move(output));
  return outputs_.back().id;
}

uint64_t LineageGraph::ShapeOf(const Node& node) const {
  Fingerprinter print;
  print.Add(static_cast<int64_t>(node.kind));
  print.Add(node.kind == NodeKind::kSource ? SourceKey(node.source) : node.label);
  print.Add(node.record_type);
  print.Add(OwnSlide(node, nodes_));
  print.Add(node.state_type);
  for (const NodeInput& input : node.inputs) {
    if (input.parent < nodes_.size()) {
      print.Add(static_cast<int64_t>(nodes_[input.parent].shape));
    }
    print.Add(input.chain);
  }
  return print.value();
}

BatchValueId LineageGraph::AddBatchValue(BatchValueSpec value) {
  batch_values_.push_back(std::move(value));
  return static_cast<BatchValueId>(batch_values_.size() - 1);
}

bool LineageGraph::has_task_effects() const {
  return std::any_of(outputs_.begin(), outputs_.end(), [](const Output& output) {
    return output.kind == OutputKind::kForeachPartition;
  });
}

std::string LineageGraph::Validate() const {
  if (outputs_.empty()) {
    return "no output operation is declared: add Print, SaveAsTextFiles or ForeachBatch";
  }
  std::set<std::string> states, streams;
  for (const Node& node : nodes_) {
    if (node.slide_batches < 1) return "slide below one batch: " + node.label;
    if (node.kind == NodeKind::kSource && !streams.insert(node.source.stream).second) {
      return "two sources have one name: " + node.source.stream;
    }
    if (!node.state_name.empty() && !states.insert(node.state_name).second) {
      return "two operators have one state name: " + node.state_name;
    }
    if (node.kind != NodeKind::kSource && node.inputs.empty()) {
      return "an operator without input: " + node.label;
    }
    for (const NodeInput& input : node.inputs) {
      if (input.parent >= node.id) return "an operator reads what comes after it: " + node.label;
    }
  }
  std::set<std::string> values;
  for (const BatchValueSpec& value : batch_values_) {
    if (!values.insert(value.name).second) return "two batch values have one name: " + value.name;
  }
  for (const Output& output : outputs_) {
    if (output.parent >= nodes_.size()) return "an output without input: " + output.label;
  }
  return "";
}

uint64_t LineageGraph::Fingerprint() const {
  Fingerprinter print;
  for (const Node& node : nodes_) sluice::AddNode(node, nodes_, print);
  for (const Output& output : outputs_) {
    print.Add(static_cast<int64_t>(output.kind));
    print.Add(output.label);
    print.Add(output.parent);
    print.Add(output.chain);
    print.Add(output.print_limit);
    print.Add(output.prefix);
    print.Add(output.suffix);
    print.Add(output.record_type);
    if (Rolls(output)) print.Add("rolls");
  }
  for (const BatchValueSpec& value : batch_values_) {
    print.Add(value.name);
    print.Add(value.type);
  }
  return print.value();
}

}  // namespace sluice
