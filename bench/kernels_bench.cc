// What the typed layer compiles to, on one thread, beside hand-written floors on the same bytes:
// a fused chain of four operators and what it allocates, and the kernels of Grep and WordCount.
//
//   kernels_bench [--lines=1000000] [--runs=5]
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "bench/floors.h"
#include "bench/lines.h"
#include "bench/table.h"
#include "bench/word_floors.h"
#include "common/plan/graph.h"
#include "driver/api/api.h"

namespace {
std::atomic<uint64_t> allocations{0};
}

// Every allocation of this program is counted.
void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace sluice::bench {
namespace {

// The lines as the input of `tasks` map tasks.
std::vector<BatchView> Split(const Lines& lines, uint32_t tasks,
                             std::vector<std::vector<uint32_t>>& ends) {
  std::vector<BatchView> views;
  ends.resize(tasks);
  const size_t count = lines.ends.size();
  for (uint32_t task = 0; task < tasks; ++task) {
    const size_t first = count * task / tasks, last = count * (task + 1) / tasks;
    for (size_t i = first; i < last; ++i) {
      ends[task].push_back(static_cast<uint32_t>((i - first + 1) * kLineSize));
    }
    views.push_back({lines.bytes.data() + first * kLineSize, (last - first) * kLineSize,
                     ends[task].data(), static_cast<uint32_t>(last - first), 0});
  }
  return views;
}

// One shuffle node, run whole on this thread: map tasks, then partitions. Keeps its memory.
class OneNode {
 public:
  OneNode(const Node& node, uint32_t tasks, uint32_t partitions) : partitions_(partitions) {
    for (uint32_t i = 0; i < tasks; ++i) kernels_.push_back(node.inputs[0].shuffle->New());
    operator_ = node.partition_operator->New();
    out_.resize(partitions);
    for (RecordBatch& out : out_) out.SetFixedSize(operator_->output_fixed_size());
  }

  void Map(const std::vector<BatchView>& tasks) {
    for (uint32_t task = 0; task < tasks.size(); ++task) {
      TaskContext context;
      context.task = task;
      context.total_tasks = static_cast<uint32_t>(tasks.size());
      kernels_[task]->Run(context, {&tasks[task], 1}, partitions_);
    }
  }
  void Reduce() {
    for (uint32_t p = 0; p < partitions_; ++p) {
      shares_.clear();
      for (const auto& kernel : kernels_) shares_.push_back({0, kernel->shares()[p].view()});
      OperatorContext context;
      context.partitions = partitions_;
      out_[p].Clear();
      operator_->Run(context, shares_, out_[p]);
    }
  }
  const std::vector<RecordBatch>& out() const { return out_; }

 private:
  const uint32_t partitions_;
  std::vector<std::unique_ptr<ShuffleKernel>> kernels_;
  std::unique_ptr<PartitionOperator> operator_;
  std::vector<Share> shares_;
  std::vector<RecordBatch> out_;
};

WordSums SumsOf(const std::vector<RecordBatch>& partitions) {
  WordSums sums;
  for (const RecordBatch& batch : partitions) {
    const BatchView view = batch.view();
    Stored<std::pair<std::string, int64_t>>().Drive(
        TaskContext(), {&view, 1}, [&](const std::pair<std::string_view, int64_t>& row) {
          ++sums.distinct;
          sums.total += static_cast<uint64_t>(row.second);
          sums.checksum += KeyHash(row.first) * static_cast<uint64_t>(row.second);
        });
  }
  return sums;
}

double Rate(const Lines& lines, double seconds) {
  return static_cast<double>(lines.ends.size()) / seconds * 1e-6;
}

auto FourOperators(StreamingContext& ssc) {
  return ssc.QueueStream(RecordQueue<int64_t>())
      .Map([](int64_t n) { return n * 3 + 1; })
      .Filter([](int64_t n) { return (n & 7) != 0; })
      .Map([](int64_t n) { return n ^ (n >> 7); })
      .Filter([](int64_t n) { return (n & 15) != 3; });
}

// What a kernel allocates per record once it is warm: runs over few and many records compared.
void ShowAllocations(ShuffleKernel& kernel, const BatchView& many) {
  BatchView few = many;
  few.count = 1'000;
  few.size = few.count * sizeof(int64_t);
  kernel.Run(TaskContext(), {&few, 1}, 1);
  const uint64_t start = allocations;
  kernel.Run(TaskContext(), {&few, 1}, 1);
  const uint64_t of_few = allocations - start;
  kernel.Run(TaskContext(), {&many, 1}, 1);
  const uint64_t of_many = allocations - start - of_few;
  const double per_record = (static_cast<double>(of_many) - static_cast<double>(of_few)) /
                            static_cast<double>(many.count - few.count);
  Show({"fused chain: heap allocations", per_record, "per record", 0, 0,
        std::to_string(of_many) + " in " + std::to_string(many.count) + " records"});
}

// The chain that ends in `node`, against a loop that gives `expected`.
template <class Floor>
void FusedChain(const std::string& what, const Node& node, const std::vector<int64_t>& numbers,
                int runs, const Floor& floor_o2, const Floor& floor_native) {
  const BatchView many{reinterpret_cast<const char*>(numbers.data()),
                       numbers.size() * sizeof(int64_t), nullptr,
                       static_cast<uint32_t>(numbers.size()), sizeof(int64_t)};
  const std::unique_ptr<ShuffleKernel> kernel = node.inputs[0].shuffle->New();
  int64_t expected = 0;
  const auto rate = [&](const auto& body) {
    return static_cast<double>(numbers.size()) / MedianSeconds(runs, body) * 1e-6;
  };
  const double o2 = rate([&] { expected = floor_o2(numbers.data(), numbers.size()); });
  const double native = rate([&] { expected = floor_native(numbers.data(), numbers.size()); });
  const double chain = rate([&] { kernel->Run(TaskContext(), {&many, 1}, 1); });
  int64_t result = 0;
  RequireEqual(DecodeRecord<int64_t>(kernel->shares()[0].view().record(0), result) &&
                   result == expected,
               what);
  Show({what, chain, "M records/CPU-s", o2, native, "equal"});
  ShowAllocations(*kernel, many);
}

void FusedChains(int runs) {
  std::vector<int64_t> numbers;
  for (uint64_t i = 0; i < 4'000'000; ++i) {
    numbers.push_back(static_cast<int64_t>(i * 0x9e3779b97f4a7c15 >> 20));
  }
  StreamingContext ssc({.name = "chain"});
  FourOperators(ssc).Count().Print();
  FourOperators(ssc).Reduce(std::plus<>()).Print();
  FusedChain("fused chain of four operators, int64, counted", ssc.graph().node(1), numbers, runs,
             floors_o2::CountFourSteps, floors_native::CountFourSteps);
  FusedChain("fused chain of four operators, int64, summed", ssc.graph().node(3), numbers, runs,
             floors_o2::SumFourSteps, floors_native::SumFourSteps);
}

void Grep(uint64_t count, int runs) {
  const Lines lines = MakeLines(count, 10'000, 0, true);
  StreamingContext ssc({.name = "grep"});
  ssc.PushStream("lines")
      .Filter([](std::string_view line) { return line.find("zqxj") != std::string_view::npos; })
      .Count()
      .Print();
  std::vector<std::vector<uint32_t>> ends;
  const auto tasks = Split(lines, 2, ends);
  OneNode node(ssc.graph().node(1), 2, 1);
  const GrepFloors floors = MeasureGrepFloors(lines, runs);
  const double chain = MedianSeconds(runs, [&] {
    node.Map(tasks);
    node.Reduce();
  });
  int64_t counted = 0;
  RequireEqual(DecodeRecord<int64_t>(node.out()[0].view().record(0), counted) &&
                   counted == static_cast<int64_t>(floors.found),
               "Grep");
  Show({"B1 Grep: kernels alone, 2 map tasks", Rate(lines, chain), "M lines/CPU-s", floors.o2,
        floors.native, "equal"});
}

void WordCount(uint64_t count, uint32_t vocabulary, int runs) {
  const Lines lines = MakeLines(count, vocabulary, 0, false);
  StreamingContext ssc({.name = "wordcount"});
  ssc.PushStream("lines")
      .FlatMap(SplitWords)
      .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
      .ReduceByKey(std::plus<>())
      .Print();
  const std::string name = "B2 WordCount, " + std::to_string(vocabulary) + " words";
  const WordFloors floors = MeasureWordFloors(lines, name, runs);
  ShowPlainLoop(lines, name, floors);
  for (const uint32_t task_count : {2u, 16u}) {
    std::vector<std::vector<uint32_t>> ends;
    const auto tasks = Split(lines, task_count, ends);
    OneNode node(ssc.graph().node(1), task_count, 8);
    const double whole = MedianSeconds(runs, [&] {
      node.Map(tasks);
      node.Reduce();
    });
    RequireEqual(SumsOf(node.out()) == floors.sums, name);
    Show({name + ": kernels alone, " + std::to_string(task_count) + " map tasks",
          Rate(lines, whole), "M lines/CPU-s", floors.o2, floors.native, "equal"});
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  sluice::Args args = sluice::Args::Parse({argv + 1, argv + argc});
  const auto lines = static_cast<uint64_t>(args.GetInt("lines", 1'000'000));
  const auto runs = static_cast<int>(args.GetInt("runs", 5));
  const sluice::Outcome outcome = args.Check();
  if (!outcome.ok()) {
    std::fprintf(stderr, "%s\n", outcome.message.c_str());
    return outcome.exit_code;
  }
  FusedChains(runs);
  Grep(lines, runs);
  WordCount(lines, 10'000, runs);
  WordCount(lines, 1'000'000, runs);
}
