// Collects what a build function declares. Shared by a context and its streams.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/codec.h"
#include "common/plan/graph_ids.h"
#include "common/plan/kernel.h"
#include "driver/api/options.h"

namespace sluice {

// How something ended: an exit code of the interface and one line in words. 0 is well.
struct Outcome {
  int exit_code = 0;
  std::string message;
  bool ok() const { return exit_code == 0; }
};

namespace internal {

// Building is done out of line and by type-erased parts: a program's own file stays cheap to
// compile. That is also why parts that it need not know are owned by plain pointers: every type
// that a smart pointer or a container is of costs each program as much as a page of its own.

// Takes over an object made with new.
std::shared_ptr<const NarrowKernel> Adopt(const NarrowKernel* made);
std::shared_ptr<const ShuffleKernelFactory> Adopt(const ShuffleKernelFactory* made);
std::shared_ptr<const PartitionOperatorFactory> Adopt(const PartitionOperatorFactory* made);
std::shared_ptr<const ForeachKernel> Adopt(const ForeachKernel* made);
std::shared_ptr<const PartitionKernel> Adopt(const PartitionKernel* made);
std::shared_ptr<const ReceiverFactory> Adopt(const ReceiverFactory* made);

// Of records that begin with a key.
template <KeyRecord K>
bool KeyOfRecord(std::string_view record, std::string_view& key) {
  ByteReader in{record.data(), record.data() + record.size()};
  return TakeKeyField<K>(in, key);
}
// Of records that stand for a whole dataset, which is the unit that fails.
inline bool NoKeyOfRecord(std::string_view, std::string_view& key) {
  key = {};
  return true;
}

// How many partitions a shuffle has, and who says which is a key's.
struct Partitioning {
  Partitioning(uint32_t partitions) : count(partitions) {}  // by hash, or not by key at all
  Partitioning(uint32_t partitions, const Partitioner& chosen, std::string (*key_type)(),
               TakeKeyFunction take);
  Partitioning(const Partitioning&);
  Partitioning& operator=(const Partitioning&);
  ~Partitioning();
  static Partitioning OfWhole() {
    Partitioning partitioning(1);
    partitioning.take_key = &NoKeyOfRecord;
    return partitioning;
  }
  // Of an operator whose keys are of type K.
  template <KeyRecord K, class Options>
  static Partitioning Of(const Options& options) {
    return Partitioning(options.partitions, options.partitioner, RecordName<K>, KeyOfRecord<K>);
  }
  uint32_t count;  // 0: the job's default
  std::shared_ptr<const KeyPartitioner> partitioner{};
  bool fits = true;  // it was made for the type of these keys
  TakeKeyFunction take_key = nullptr;
};

class GraphBuilder;

// Where a stream stands: the node whose dataset it reads, and the narrow operators behind that.
struct StreamPlace {
  StreamPlace(std::shared_ptr<GraphBuilder> graph, NodeId parent);
  StreamPlace(const StreamPlace&);
  StreamPlace(StreamPlace&&) noexcept;
  StreamPlace& operator=(const StreamPlace&);
  StreamPlace& operator=(StreamPlace&&) noexcept;
  ~StreamPlace();

  // Behind one more narrow operator.
  StreamPlace Then(std::string_view name) const;
  int64_t slide_batches() const;

  std::shared_ptr<GraphBuilder> graph;
  NodeId parent;
  std::string operators;  // "FlatMap, Map": the chain in words
};

// A shuffle node with one input, or two.
struct ShuffleSpec {
  const char* label;
  std::string (*record_type)();
  std::shared_ptr<const ShuffleKernelFactory> shuffle;
  std::shared_ptr<const PartitionOperatorFactory> partition_operator;
  Partitioning partitions = 0;
  int64_t slide_batches = 0;    // 0: as the parent
  std::string state_name{};     // not empty: stateful; see name_in_label
  std::string state_type{};
  std::string (*share_type)() = nullptr;  // where record_type does not say what is shuffled
  // The program chose the state's name, and the state has an entry for each key; else the name is
  // made from it and from the node's shape.
  bool name_in_label = false;
  const StreamPlace* second = nullptr;
  std::shared_ptr<const ShuffleKernelFactory> second_shuffle{};
  ~ShuffleSpec();
};

// A stream over what the shuffle gives.
StreamPlace AddShuffleNode(const StreamPlace& from, const ShuffleSpec& spec);

// A node whose partitions are those of its inputs, in order.
class NarrowNode {
 public:
  // `name`: of the operator.
  NarrowNode(std::shared_ptr<GraphBuilder> graph, std::string_view name);
  NarrowNode(const NarrowNode&) = delete;
  NarrowNode& operator=(const NarrowNode&) = delete;
  ~NarrowNode();
  // All inputs must be streams of the same graph and have the same slide.
  void Read(const StreamPlace& input, std::shared_ptr<const NarrowKernel> kernel);
  // A stream over it. With no input to read, an error and a stream over nothing.
  StreamPlace Add(std::string record_type);

 private:
  const std::shared_ptr<GraphBuilder> graph_;
  Node* const node_;  // owned
};

class GraphBuilder {
 public:
  explicit GraphBuilder(std::chrono::milliseconds batch_interval);
  GraphBuilder(const GraphBuilder&) = delete;
  GraphBuilder& operator=(const GraphBuilder&) = delete;
  ~GraphBuilder();

  NodeId AddNode(Node node);
  NodeId AddShuffle(const StreamPlace& from, const ShuffleSpec& spec);
  // Outputs of a stream, and the kernel made from its chain.
  void AddPrint(const StreamPlace& from, std::shared_ptr<const NarrowKernel> kernel,
                uint32_t limit);
  void AddTextFiles(const StreamPlace& from, std::shared_ptr<const NarrowKernel> kernel,
                    const std::string& prefix, const std::string& suffix,
                    const SaveOptions& options);
  // Records as the kernel wrote them, between the format's header and footer.
  void AddFormattedFiles(const StreamPlace& from, std::shared_ptr<const NarrowKernel> kernel,
                         std::string header, std::string footer, const std::string& prefix,
                         const std::string& suffix, const SaveOptions& options);
  void AddObjectFiles(const StreamPlace& from, std::shared_ptr<const NarrowKernel> kernel,
                      std::string record_type, const std::string& prefix,
                      const std::string& suffix, const SaveOptions& options);
  void AddForeachPartition(const StreamPlace& from, std::shared_ptr<const NarrowKernel> kernel,
                           std::shared_ptr<const PartitionKernel> foreach_partition);
  void AddForeachBatch(const StreamPlace& from, std::shared_ptr<const NarrowKernel> kernel,
                       std::shared_ptr<const ForeachKernel> foreach_batch);

  // Of a record of that type, which `function` gives encoded; see BatchValueSpec.
  BatchValueId AddBatchValue(std::string name, std::string type,
                             std::function<std::string(int64_t batch_ms)> function);
  // How long slices keep datasets at least. Once, and positive.
  void Remember(std::chrono::milliseconds duration);
  // A slice reaches as far as Remember says.
  void NeedRemember();
  bool lacks_remember() const;
  // Settled when the job starts; 0: nobody asked.
  std::shared_ptr<const int64_t> remember_ms() const;

  // The first thing that the program got wrong. Building goes on, so that later errors of the
  // same program do not hide behind a crash.
  void Fail(int exit_code, std::string message);
  // A duration as a number of batches; fails when it is no positive multiple of `slide_batches`.
  int64_t Batches(std::string_view what, std::chrono::milliseconds duration,
                  int64_t slide_batches);
  // How many of `what` there were before; "base-0", "base-1" and so on. Equal on every build of the
  // same program.
  int NextOf(std::string_view what);
  std::string Numbered(std::string_view base);
  // For a state that the program gives no name: the same as long as the node and what it reads are,
  // whatever else is added to the program or taken away.
  std::string NameByShape(const std::string& base, const Node& node);

  // From here on nothing is added, as threads of the job read the graph; trying to is an error.
  void Freeze();
  bool frozen() const;

  int64_t slide_of(NodeId node) const;
  int64_t batch_interval_ms() const;
  const LineageGraph& graph() const;
  const Outcome& error() const;

 private:
  struct Declared;

  void AddOutput(Output output);
  void AddFiles(Output output, const std::string& prefix, const std::string& suffix,
                const SaveOptions& options);

  Declared* const declared_;  // owned
};

}  // namespace internal
}  // namespace sluice
