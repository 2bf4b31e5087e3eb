// Collects what a build function declares. Shared by a context and its streams.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/plan/graph.h"

namespace sluice {

// How something ended: an exit code of the interface and one line in words. 0 is well.
struct Outcome {
  int exit_code = 0;
  std::string message;
  bool ok() const { return exit_code == 0; }
};

namespace internal {

class GraphBuilder {
 public:
  explicit GraphBuilder(std::chrono::milliseconds batch_interval)
      : batch_interval_ms_(batch_interval.count()) {}

  NodeId AddNode(Node node);
  void AddOutput(Output output);
  // A node with one input, sliding as its parent does.
  NodeId AddShuffle(std::string label, std::string record_type, NodeInput input,
                    std::shared_ptr<const PartitionOperatorFactory> partition_operator,
                    uint32_t partitions);

  // The first thing that the program got wrong. Building goes on, so that later errors of the
  // same program do not hide behind a crash.
  void Fail(int exit_code, std::string message);
  // A duration as a number of batches; fails when it is no positive multiple of `slide_batches`.
  int64_t Batches(std::string_view what, std::chrono::milliseconds duration,
                  int64_t slide_batches);
  // "base", or "base-1" and so on for the second: equal on every build of the same program.
  std::string Numbered(std::string_view base);

  // Turns further changes into an error: the graph is fixed once the job starts.
  void Freeze() { frozen_ = true; }

  int64_t slide_of(NodeId node) const { return graph_.node(node).slide_batches; }
  int64_t batch_interval_ms() const { return batch_interval_ms_; }
  const LineageGraph& graph() const { return graph_; }
  const Outcome& error() const { return error_; }

 private:
  int64_t batch_interval_ms_;
  LineageGraph graph_;
  Outcome error_;
  bool frozen_ = false;
  std::vector<std::pair<std::string, int>> numbers_;
};

}  // namespace internal
}  // namespace sluice
