// For tests: a graph with real small kernels that counts words in state, and prints every word
// with its count.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/plan/graph.h"

namespace sluice {

inline constexpr const char* kBadWord = "boom";

// The first run of a batch's map task 0 that meets kGateWord waits until the gate is opened, and
// throws then. Thread-safe.
inline constexpr const char* kGateWord = "gate";
class WordGate {
 public:
  void Enter(const TaskContext& context) {
    std::unique_lock lock(mutex_);
    if (open_ || context.task != 0 || !waited_.insert(context.batch_ms).second) return;
    opened_.wait(lock, [this] { return open_; });
    ++thrown_;
    opened_.notify_all();
    throw std::runtime_error("the gate was open too late");
  }
  // Returns when so many that waited have thrown.
  void Open(int waiting) {
    std::unique_lock lock(mutex_);
    open_ = true;
    opened_.notify_all();
    opened_.wait(lock, [&] { return thrown_ >= waiting; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
  int thrown_ = 0;
  std::set<int64_t> waited_;  // batches
};
inline WordGate& TheWordGate() {
  static WordGate gate;
  return gate;
}

class WordShares : public ShuffleKernel {
 public:
  void Run(const TaskContext& context, std::span<const BatchView> input,
           uint32_t partitions) override {
    shares_.resize(partitions);
    for (RecordBatch& share : shares_) share.Clear();
    for (const BatchView& batch : input) {
      for (uint32_t i = 0; i < batch.count; ++i) {
        const std::string_view word = batch.record(i);
        if (word == kGateWord) TheWordGate().Enter(context);
        if (word == kBadWord) throw std::runtime_error("a bad word");
        shares_[word.back() % partitions].Append(word);
      }
    }
  }
  std::span<const RecordBatch> shares() const override { return shares_; }

 private:
  std::vector<RecordBatch> shares_;
};

class WordSharesFactory : public ShuffleKernelFactory {
 public:
  std::unique_ptr<ShuffleKernel> New() const override { return std::make_unique<WordShares>(); }
};

class WordCounts : public PartitionOperator {
 public:
  void Run(const OperatorContext& context, std::span<const Share> shares,
           RecordBatch& out) override {
    for (const Share& share : shares) {
      for (uint32_t i = 0; i < share.records.count; ++i) {
        const std::string_view word = share.records.record(i);
        const auto old = context.state->Get(word);
        const int count = old.has_value() ? std::stoi(std::string(*old)) : 0;
        context.state->Put(word, std::to_string(count + 1));
      }
    }
    context.state->ForEach([&](std::string_view word, std::string_view count) {
      out.Append(std::string(word) + " " + std::string(count));
    });
  }
  uint32_t output_fixed_size() const override { return 0; }
};

class WordCountsFactory : public PartitionOperatorFactory {
 public:
  std::unique_ptr<PartitionOperator> New() const override {
    return std::make_unique<WordCounts>();
  }
};

class CopyRows : public NarrowKernel {
 public:
  void Run(const TaskContext&, std::span<const BatchView> input, RecordBatch& out) const override {
    for (const BatchView& batch : input) out.AppendAll(batch);
  }
  uint32_t output_fixed_size() const override { return 0; }
};

inline LineageGraph WordGraph(uint32_t print_limit = 1000) {
  LineageGraph graph;
  Node source;
  source.kind = NodeKind::kSource;
  source.label = "words";
  const NodeId words = graph.AddNode(std::move(source));
  Node counts;
  counts.kind = NodeKind::kShuffle;
  counts.label = "Count";
  counts.state_name = "counts";
  counts.partition_operator = std::make_shared<WordCountsFactory>();
  counts.inputs.push_back({words, "Check", nullptr, std::make_shared<WordSharesFactory>()});
  const NodeId counted = graph.AddNode(std::move(counts));
  Output print;
  print.label = "Print";
  print.parent = counted;
  print.print_limit = print_limit;
  print.kernel = std::make_shared<CopyRows>();
  graph.AddOutput(std::move(print));
  return graph;
}

inline std::string EncodedWords(const std::vector<std::string>& words) {
  RecordBatch batch;
  for (const std::string& word : words) batch.Append(word);
  std::string encoded;
  EncodeBatch(batch.view(), encoded);
  return encoded;
}

}  // namespace sluice
