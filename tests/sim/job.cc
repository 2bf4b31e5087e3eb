#include "tests/sim/job.h"

#include <charconv>
#include <memory>
#include <stdexcept>
#include <vector>

#include "common/crc32c.h"

namespace sluice::sim {
namespace {

constexpr uint64_t kKeys = 7;

uint64_t NumberOf(std::string_view text) {
  uint64_t number = 0;
  const size_t space = text.rfind(' ');
  std::from_chars(text.data() + space + 1, text.data() + text.size(), number);
  return number;
}

uint64_t ToNumber(std::string_view text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Sends "key number" to the partition of the key.
class ByKey : public ShuffleKernel {
 public:
  explicit ByKey(std::string poison) : poison_(std::move(poison)) {}
  void Run(const TaskContext&, std::span<const BatchView> input, uint32_t partitions) override {
    shares_.resize(partitions);
    for (RecordBatch& share : shares_) share.Clear();
    for (const BatchView& batch : input) {
      for (uint32_t i = 0; i < batch.count; ++i) {
        if (batch.record(i) == poison_) throw std::runtime_error("poison");
        const uint64_t number = NumberOf(batch.record(i));
        const uint64_t key = number % kKeys;
        shares_[key % partitions].Append("k" + std::to_string(key) + " " + std::to_string(number));
      }
    }
  }
  std::span<const RecordBatch> shares() const override { return shares_; }

 private:
  const std::string poison_;
  std::vector<RecordBatch> shares_;
};

class ByKeyFactory : public ShuffleKernelFactory {
 public:
  explicit ByKeyFactory(std::string poison) : poison_(std::move(poison)) {}
  std::unique_ptr<ShuffleKernel> New() const override { return std::make_unique<ByKey>(poison_); }

 private:
  const std::string poison_;
};

// Deals records out, beginning with another partition at each attempt.
class Deal : public ShuffleKernel {
 public:
  explicit Deal(uint64_t* attempts) : attempts_(attempts) {}
  void Run(const TaskContext&, std::span<const BatchView> input, uint32_t partitions) override {
    shares_.resize(partitions);
    for (RecordBatch& share : shares_) share.Clear();
    uint64_t next = (*attempts_)++;
    for (const BatchView& batch : input) {
      for (uint32_t i = 0; i < batch.count; ++i) {
        shares_[next++ % partitions].Append("x " + std::to_string(NumberOf(batch.record(i))));
      }
    }
  }
  std::span<const RecordBatch> shares() const override { return shares_; }

 private:
  uint64_t* attempts_;
  std::vector<RecordBatch> shares_;
};

class DealFactory : public ShuffleKernelFactory {
 public:
  explicit DealFactory(uint64_t* attempts) : attempts_(attempts) {}
  std::unique_ptr<ShuffleKernel> New() const override { return std::make_unique<Deal>(attempts_); }

 private:
  uint64_t* attempts_;
};

// Poison behind the shuffle works in this one of three batches.
bool PoisonWorks(const TaskContext& context) {
  return (context.batch_ms - context.zero_ms) / context.batch_interval_ms % 3 == 1;
}

std::string_view KeyOf(std::string_view row) { return row.substr(0, row.find(' ')); }

bool TakeKey(std::string_view row, std::string_view& key) {
  key = KeyOf(row);
  return true;
}

class PlaceOfKey : public KeyPartitioner {
 public:
  uint32_t PartitionOf(std::string_view key, uint32_t partitions) const override {
    return PartitionOfSum(key, partitions);
  }
};

// Keeps count and sum of each key; gives all keys as "key count sum".
class Totals : public PartitionOperator {
 public:
  explicit Totals(std::string poison) : poison_(std::move(poison)) {}
  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override {
    KeyedState& state = *context.state;
    for (const Share& share : shares) {
      for (uint32_t i = 0; i < share.records.count; ++i) {
        const std::string_view row = share.records.record(i);
        if (row == poison_ && PoisonWorks(context.task)) throw std::runtime_error("poison");
        const std::string_view key = KeyOf(row);
        uint64_t count = 0, sum = 0;
        if (const auto old = state.Get(key)) {
          count = ToNumber(*old);
          sum = NumberOf(*old);
        }
        state.Put(key, std::to_string(count + 1) + " " + std::to_string(sum + NumberOf(row)));
      }
    }
    state.ForEach([&](std::string_view key, std::string_view totals) {
      out.Append(std::string(key) + " " + std::string(totals));
    });
  }
  uint32_t output_fixed_size() const override { return 0; }

  // Keys as ByKey sends them; what was dealt out has one key in every partition.
  bool spreads() const override { return true; }
  bool NeedsFormer(const Spreading&) const override { return true; }
  void TakeOver(const Spreading& spreading, KeyedState& former, KeyedState& to) override {
    former.ForEach([&](std::string_view key, std::string_view totals) {
      const uint64_t from = key == "x" ? spreading.former : ToNumber(key.substr(1));
      if (from % spreading.partitions != spreading.partition) return;
      uint64_t count = ToNumber(totals), sum = NumberOf(totals);
      if (const auto there = to.Get(key)) {
        count += ToNumber(*there);
        sum += NumberOf(*there);
      }
      to.Put(key, std::to_string(count) + " " + std::to_string(sum));
    });
  }

 private:
  const std::string poison_;
};

class TotalsFactory : public PartitionOperatorFactory {
 public:
  explicit TotalsFactory(std::string poison) : poison_(std::move(poison)) {}
  std::unique_ptr<PartitionOperator> New() const override {
    return std::make_unique<Totals>(poison_);
  }

 private:
  const std::string poison_;
};

class Rows : public NarrowKernel {
 public:
  void Run(const TaskContext&, std::span<const BatchView> input, RecordBatch& out) const override {
    for (const BatchView& batch : input) out.AppendAll(batch);
  }
  uint32_t output_fixed_size() const override { return 0; }
};

class PoisonedRows : public Rows {
 public:
  explicit PoisonedRows(std::string poison) : poison_(std::move(poison)) {}
  void Run(const TaskContext& context, std::span<const BatchView> input,
           RecordBatch& out) const override {
    for (const BatchView& batch : input) {
      for (uint32_t i = 0; i < batch.count && PoisonWorks(context); ++i) {
        if (batch.record(i).starts_with(poison_)) throw std::runtime_error("poison");
      }
    }
    Rows::Run(context, input, out);
  }

 private:
  const std::string poison_;
};

class EffectKernel : public PartitionKernel {
 public:
  explicit EffectKernel(Effect effect) : effect_(std::move(effect)) {}
  void Run(const PartitionIdentity& identity, const BatchView& records) const override {
    effect_(identity, records);
  }

 private:
  const Effect effect_;
};

Node StatefulNode(const std::string& name, const std::string& poison = "") {
  Node node;
  node.kind = NodeKind::kShuffle;
  node.label = name;
  node.state_name = name;
  node.partition_operator = std::make_shared<TotalsFactory>(poison);
  return node;
}

Output NewOutput(NodeId parent, OutputKind kind, const std::string& prefix) {
  Output output;
  output.kind = kind;
  output.label = prefix;
  output.parent = parent;
  output.prefix = prefix;
  output.print_limit = 1000;
  output.kernel = std::make_shared<Rows>();
  return output;
}

}  // namespace

uint32_t PartitionOfSum(std::string_view key, uint32_t partitions) {
  return static_cast<uint32_t>(ToNumber(key.substr(1)) % partitions);
}

LineageGraph MakeJob(uint64_t* attempts, const Poison& poison, Effect effect) {
  LineageGraph graph;
  Node pushed;
  pushed.label = "pushed";
  pushed.source.kind = SourceKind::kPush;
  pushed.source.stream = "pushed";
  graph.AddNode(std::move(pushed));
  Node files;
  files.label = "files";
  files.source.kind = SourceKind::kFiles;
  files.source.stream = "files";
  files.source.directory = "/in";
  graph.AddNode(std::move(files));
  Node plain;
  plain.label = "plain";
  plain.source.kind = SourceKind::kReceiver;
  plain.source.stream = "plain";
  graph.AddNode(std::move(plain));
  Node sum = StatefulNode("Sum", poison.number);
  sum.take_key = TakeKey;
  sum.state_by_key = true;
  sum.partitioner = std::make_shared<PlaceOfKey>();
  auto by_key = std::make_shared<ByKeyFactory>(poison.record);
  sum.inputs.push_back({kPushedNode, "", nullptr, by_key});
  sum.inputs.push_back({kFilesNode, "", nullptr, by_key});
  sum.inputs.push_back({kPlainNode, "", nullptr, by_key});
  const NodeId summed = graph.AddNode(std::move(sum));
  Node spread = StatefulNode("Spread");
  spread.inputs.push_back({kPushedNode, "", nullptr, std::make_shared<DealFactory>(attempts)});
  const NodeId spreaded = graph.AddNode(std::move(spread));
  Output sums = NewOutput(summed, OutputKind::kTextFiles, "/out/sum");
  sums.overwrite = true;
  graph.AddOutput(std::move(sums));
  graph.AddOutput(NewOutput(spreaded, OutputKind::kTextFiles, "/out/spread"));
  Output print = NewOutput(summed, OutputKind::kPrint, "");
  if (!poison.row.empty()) print.kernel = std::make_shared<PoisonedRows>(poison.row);
  graph.AddOutput(std::move(print));
  Output rolled;
  rolled.kind = OutputKind::kTextFiles;
  rolled.label = "rolled";
  rolled.parent = summed;
  rolled.prefix = "/out/rolled";
  rolled.kernel = std::make_shared<Rows>();
  rolled.roll_bytes = 400;
  rolled.roll_after_ms = 1000;
  graph.AddOutput(std::move(rolled));
  if (effect != nullptr) {
    Output output;
    output.kind = OutputKind::kForeachPartition;
    output.label = "ForeachPartition";
    output.parent = summed;
    output.kernel = std::make_shared<Rows>();
    output.foreach_partition = std::make_shared<EffectKernel>(std::move(effect));
    graph.AddOutput(std::move(output));
  }
  return graph;
}

}  // namespace sluice::sim
