// The untyped lineage graph: what the program declared, once per process, the same everywhere.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/plan/graph_ids.h"
#include "common/plan/kernel.h"

namespace sluice {

using OutputId = uint32_t;

enum class NodeKind { kSource, kNarrow, kShuffle };
enum class SourceKind { kReceiver, kPush, kFiles, kQueue, kConstant };

// How the bytes of files become records.
enum class FileFormat {
  kLines,        // lines of text
  kWhole,        // one record per file, the pair (path, contents)
  kFixedLength,  // records of `record_length` bytes
  kObjects,      // what SaveAsObjectFiles wrote, in directories of their own
};

struct SourceSpec {
  SourceKind kind = SourceKind::kQueue;
  std::string stream;                                // unique name; "socket-0", "orders"
  std::shared_ptr<const ReceiverFactory> receiver;   // kReceiver
  std::string directory;                             // kFiles: absolute
  bool existing_files = true;                        // kFiles: take what is there at the start
  std::shared_ptr<QueueSource> queue;                // kQueue
  FileFormat file_format = FileFormat::kLines;       // kFiles
  uint32_t record_length = 0;                        // kFiles, kFixedLength
  std::shared_ptr<const std::string> constant{};     // kConstant: an encoded record batch
  uint32_t constant_records = 0;                     // how many it has
};

// What a source is in every program that reads it: a directory and its format, or a kind and a
// name.
std::string SourceKey(const SourceSpec& source);

// One input of a node: its parent's dataset, run through a fused chain.
struct NodeInput {
  NodeId parent = 0;
  std::string chain;                                   // "FlatMap, Map", for people
  std::shared_ptr<const NarrowKernel> narrow;          // of a narrow node
  std::shared_ptr<const ShuffleKernelFactory> shuffle; // of a shuffle node
};

struct Node {
  NodeId id = 0;
  NodeKind kind = NodeKind::kSource;
  std::string label;           // "ReduceByKey", "SocketTextStream socket-0"
  std::string record_type;     // "(text,int64)"; part of the fingerprint
  int64_t slide_batches = 1;   // emits at every k-th batch
  int64_t slide_ms = 0;        // the same as a time; 0: not known
  SourceSpec source;           // kSource
  std::vector<NodeInput> inputs;
  // kShuffle:
  uint32_t partitions = 0;     // 0: the job's default
  std::shared_ptr<const KeyPartitioner> partitioner;  // null: the hash of the key
  std::shared_ptr<const PartitionOperatorFactory> partition_operator;
  std::string state_name;      // not empty: stateful; unique
  std::string state_type;      // codecs of key and value, as text
  TakeKeyFunction take_key = nullptr;  // null: its records have no key
  std::string share_type;      // of the records that come to it; empty: label and types say it
  bool state_by_key = false;   // an entry for each of the user's keys (user_key.h), and user code
                               // that is called for it
  bool holds_batches = false;  // its state is made of batches, by their times
  uint64_t shape = 0;          // as LineageGraph::ShapeOf; set when the node is added
};

// A value that only the job driver knows and that may be another one at each batch. Its function
// runs in the job driver when the batch is planned; what it gave is part of the plan.
struct BatchValueSpec {
  std::string name;
  std::string type;  // of the record that it is
  std::function<std::string(int64_t batch_ms)> function;  // gives it encoded; may throw
};

enum class OutputKind { kPrint, kTextFiles, kForeachBatch, kObjectFiles, kForeachPartition };
// Staged in a directory of files by the tasks and published by one rename.
inline bool WritesFiles(OutputKind kind) {
  return kind == OutputKind::kTextFiles || kind == OutputKind::kObjectFiles;
}
// User code with an effect of its own, which ends before the batch is decided: nothing is left to
// be published.
inline bool RunsUserCode(OutputKind kind) {
  return kind == OutputKind::kForeachBatch || kind == OutputKind::kForeachPartition;
}

struct Output {
  OutputId id = 0;
  OutputKind kind = OutputKind::kPrint;
  std::string label;
  NodeId parent = 0;
  std::string chain;
  // Rows as lines of text; encoded records for kForeachBatch, kObjectFiles, kForeachPartition.
  std::shared_ptr<const NarrowKernel> kernel;
  uint32_t print_limit = 10;                   // kPrint
  std::string prefix, suffix;                  // of what writes files
  bool overwrite = false;                      // of what writes files
  std::string header, footer;                  // kTextFiles: of every file
  std::string row_end = "\n";                  // kTextFiles: behind every row
  uint64_t roll_bytes = 0;                     // of what writes files; 0: each batch has its own
  int64_t roll_after_ms = 0;                   // with roll_bytes
  std::string record_type;                     // kObjectFiles
  std::shared_ptr<const ForeachKernel> foreach_batch;
  std::shared_ptr<const PartitionKernel> foreach_partition;
};

// What several batches staged is published as one file.
inline bool Rolls(const Output& output) { return output.roll_bytes != 0; }

class LineageGraph {
 public:
  NodeId AddNode(Node node);
  OutputId AddOutput(Output output);
  BatchValueId AddBatchValue(BatchValueSpec value);
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<Output>& outputs() const { return outputs_; }
  const std::vector<BatchValueSpec>& batch_values() const { return batch_values_; }
  const Node& node(NodeId id) const { return nodes_.at(id); }
  // What a node is by what it does and what it reads, and not by its place: of a program that was
  // changed elsewhere it is the same. Says nothing about user functions. The node's inputs are
  // there already. A slide counts where it is not that of the input, and as a time: neither shape
  // nor fingerprint say what the batch interval is.
  uint64_t ShapeOf(const Node& node) const;
  // An output has an effect outside that a task brings about.
  bool has_task_effects() const;

  // What the program got wrong, in words; empty when the graph can run.
  std::string Validate() const;
  // Equal for two builds of the same program; covers kinds, labels, types, slides, partition
  // counts, state names, output targets.
  uint64_t Fingerprint() const;

 private:
  std::vector<Node> nodes_;
  std::vector<Output> outputs_;
  std::vector<BatchValueSpec> batch_values_;
};

}  // namespace sluice
