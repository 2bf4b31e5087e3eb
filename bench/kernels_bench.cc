// Grep and WordCount through the typed layer's kernels on one thread, beside hand-written floors
// on the same bytes. One line per form: million lines per second of CPU time, and the ratio to the
// floor. Every form's result is checked against the floor's.
//
//   kernels_bench [--lines=1000000] [--runs=5]
#include <ctime>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "bench/floors.h"
#include "bench/lines.h"
#include "driver/api/api.h"

namespace sluice::bench {
namespace {

double CpuSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Median million lines per second over the runs, behind one that warms up.
template <class Body>
double Rate(const Lines& lines, int runs, const Body& body) {
  body();
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) {
    const double start = CpuSeconds();
    body();
    seconds.push_back(CpuSeconds() - start);
  }
  std::sort(seconds.begin(), seconds.end());
  return static_cast<double>(lines.ends.size()) / seconds[seconds.size() / 2] * 1e-6;
}

void Show(const std::string& what, double rate, double floor) {
  std::printf("  %-34s %7.2f M lines/s   r %.2f\n", what.c_str(), rate, rate / floor);
  std::fflush(stdout);
}

void Check(bool equal, const std::string& what) {
  if (equal) return;
  std::fprintf(stderr, "%s: the result differs from the floor's\n", what.c_str());
  std::exit(1);
}

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
  std::printf("Grep\n");
  uint64_t found = 0;
  const double floor = Rate(lines, runs, [&] { found = GrepByLine(lines); });
  Show("floor, line by line", floor, floor);
  Show("floor, whole buffer", Rate(lines, runs, [&] { found = GrepWholeBuffer(lines); }), floor);
  const double chain = Rate(lines, runs, [&] {
    node.Map(tasks);
    node.Reduce();
  });
  Show("chain, 2 tasks", chain, floor);
  int64_t counted = 0;
  Check(DecodeRecord<int64_t>(node.out()[0].view().record(0), counted) &&
            counted == static_cast<int64_t>(found) && found == GrepByLine(lines),
        "Grep");
}

void WordCount(uint64_t count, uint32_t vocabulary, int runs) {
  const Lines lines = MakeLines(count, vocabulary, 0, false);
  StreamingContext ssc({.name = "wordcount"});
  ssc.PushStream("lines")
      .FlatMap(SplitWords)
      .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
      .ReduceByKey(std::plus<>())
      .Print();
  std::printf("WordCount, %u words\n", vocabulary);
  WordSums expected, ring_sums;
  const double direct = Rate(lines, runs, [&] { expected = CountWordsDirect(lines); });
  const double ring = Rate(lines, runs, [&] { ring_sums = CountWordsRing(lines); });
  const double floor = std::max(direct, ring);
  Show("floor, direct", direct, floor);
  Show("floor, ring", ring, floor);
  Check(ring_sums == expected, "ring floor");
  Show("plain loop", Rate(lines, 1, [&] {
         Check(CountWordsPlainly(lines) == expected, "plain loop");
       }), floor);
  for (const uint32_t task_count : {2u, 16u}) {
    std::vector<std::vector<uint32_t>> ends;
    const auto tasks = Split(lines, task_count, ends);
    OneNode node(ssc.graph().node(1), task_count, 8);
    const std::string name = "chain, " + std::to_string(task_count) + " tasks";
    Show(name + ", map side only", Rate(lines, runs, [&] { node.Map(tasks); }), floor);
    const double whole = Rate(lines, runs, [&] {
      node.Map(tasks);
      node.Reduce();
    });
    Show(name + ", 8 partitions", whole, floor);
    Check(SumsOf(node.out()) == expected, name);
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
  Grep(lines, runs);
  WordCount(lines, 10'000, runs);
  WordCount(lines, 1'000'000, runs);
}
