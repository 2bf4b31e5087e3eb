// Grep (B1) and WordCount (B2) as whole jobs in one process: driver, worker, executor, log, blocks
// and checkpoints of local mode, fed by a receiver in the same process. The rate counts all CPU
// time of the process, beside the floors on the same bytes.
//
//   local_bench [--lines=1000000] [--runs=5] [--only=grep|words10000|words1000000]
#include <cstdio>
#include <functional>

#include "bench/feed.h"
#include "bench/lines.h"
#include "bench/table.h"
#include "bench/word_floors.h"
#include "common/key_hash.h"
#include "common/net/heap.h"
#include "glog/logging.h"
#include "sluice/sluice.h"

namespace sluice::bench {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kLinesPerStore = 32'768;
constexpr uint64_t kWindow = 2'000'000;  // lines on their way

JobOptions LocalJobOptions(std::string name) {
  return {.name = std::move(name),
          .batch_interval = 250ms,
          .conf = {{"checkpoint_interval", "500ms"}, {"partitions", "8"}}};
}

void Require(const Outcome& outcome) {
  if (outcome.ok()) return;
  std::fprintf(stderr, "%s\n", outcome.message.c_str());
  std::exit(outcome.exit_code);
}

// Median million lines per second of the process's CPU time, over passes that are each decided to
// the last line, behind one that warms up. `after_pass` checks what has come out.
double WholeProcessRate(StreamingContext& ssc, Feed& feed, uint64_t lines, int runs,
                        const std::function<void(int passes)>& after_pass) {
  Require(ssc.Start());
  std::vector<double> seconds;
  for (int run = 0; run <= runs; ++run) {
    const double start = ProcessCpuSeconds();
    feed.Allow(1);
    feed.AwaitDecided();
    if (run > 0) seconds.push_back(ProcessCpuSeconds() - start);
    after_pass(run + 1);
  }
  feed.Close();
  Require(ssc.Stop());
  return static_cast<double>(lines) / Median(std::move(seconds)) * 1e-6;
}

void Grep(uint64_t count, int runs) {
  const Lines lines = MakeLines(count, 10'000, 0, true);
  const GrepFloors floors = MeasureGrepFloors(lines, runs);
  Feed feed(lines, kWindow);
  uint64_t found = 0;  // by the thread that runs ForeachBatch; read when all is decided
  StreamingContext ssc(LocalJobOptions("grep"));
  auto received = ssc.ReceiverStream(FeedReceiver(&feed, kLinesPerStore));
  received
      .Filter([](std::string_view line) { return line.find("zqxj") != std::string_view::npos; })
      .Count()
      .ForeachBatch([&](const Batch<int64_t>& batch) {
        batch.ForEach([&](int64_t n) {
          found += static_cast<uint64_t>(n);
          feed.Decided(static_cast<uint64_t>(n) * 1000);  // one in a thousand is marked
        });
      });
  const double rate = WholeProcessRate(ssc, feed, count, runs, [&](int passes) {
    RequireEqual(found == floors.found * static_cast<uint64_t>(passes), "Grep, one process");
  });
  Show({"B1 Grep: one process, whole runtime", rate, "M lines/CPU-s", floors.o2, floors.native,
        "equal"});
}

void WordCount(uint64_t count, uint32_t vocabulary, int runs) {
  const std::string name = "B2 WordCount, " + std::to_string(vocabulary) + " words";
  const Lines lines = MakeLines(count, vocabulary, 0, false);
  const WordFloors floors = MeasureWordFloors(lines, name, runs);
  Feed feed(lines, kWindow);
  WordSums sums;
  uint64_t told = 0;
  int64_t batches = 0;
  StreamingContext ssc(LocalJobOptions("wordcount"));
  ssc.ReceiverStream(FeedReceiver(&feed, kLinesPerStore))
      .FlatMap(SplitWords)
      .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
      .ReduceByKey(std::plus<>())
      .ForeachBatch([&](const Batch<std::pair<std::string, int64_t>>& batch) {
        batch.ForEach([&](const std::pair<std::string_view, int64_t>& row) {
          sums.total += static_cast<uint64_t>(row.second);
          sums.checksum += KeyHash(row.first) * static_cast<uint64_t>(row.second);
        });
        batches += batch.empty() ? 0 : 1;
        // All lines are decided when all words are.
        const uint64_t decided = sums.total / floors.sums.total * count +
                                 sums.total % floors.sums.total * count / floors.sums.total;
        feed.Decided(decided - std::exchange(told, decided));
      });
  const double rate = WholeProcessRate(ssc, feed, count, runs, [&](int passes) {
    const auto times = static_cast<uint64_t>(passes);
    RequireEqual(sums.total == floors.sums.total * times &&
                     sums.checksum == floors.sums.checksum * times,
                 name + ", one process");
  });
  const auto mean = count * static_cast<uint64_t>(runs + 1) / static_cast<uint64_t>(batches);
  Show({name + ": one process, whole runtime", rate, "M lines/CPU-s", floors.o2, floors.native,
        "equal; " + std::to_string(mean / 1000) + " K lines/batch"});
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  sluice::Args args = sluice::Args::Parse({argv + 1, argv + argc});
  const auto lines = static_cast<uint64_t>(args.GetInt("lines", 1'000'000));
  const auto runs = static_cast<int>(args.GetInt("runs", 5));
  const std::string only = args.Get("only", "");
  const sluice::Outcome outcome = args.Check();
  if (!outcome.ok()) {
    std::fprintf(stderr, "%s\n", outcome.message.c_str());
    return outcome.exit_code;
  }
  sluice::KeepHeap();
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::WARNING;
  google::InitGoogleLogging(argv[0]);
  if (only.empty() || only == "grep") Grep(lines, runs);
  if (only.empty() || only == "words10000") WordCount(lines, 10'000, runs);
  if (only.empty() || only == "words1000000") WordCount(lines, 1'000'000, runs);
}
