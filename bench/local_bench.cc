// Grep (B1) and WordCount (B2) as whole jobs in one process (bench/whole_job.h), beside the floors
// on the same lines.
//
//   local_bench [--records=N] [--runs=9] [--only=grep|words10000|words1000000]
#include "bench/bench_main.h"
#include "bench/floors.h"
#include "bench/lines.h"
#include "bench/whole_job.h"
#include "common/key_hash.h"

namespace sluice::bench {
namespace {

using LineJob = WholeJob<std::string, std::string_view>;

// So many lines are more than 256 MB, and more than the last-level cache of most machines.
constexpr uint64_t kLines = 4'000'000;

void Grep(uint64_t count, int runs) {
  const Lines lines = MakeLines(count, 10'000, 0, true);
  const std::vector<std::string_view> views = Views(lines);
  uint64_t found = 0;  // by the thread that runs ForeachBatch; read when all is decided
  uint64_t by_floor = 0, by_native = 0;
  LineJob job("B1 Grep: one process, whole runtime", views, kLineSize);
  job.stream()
      .Filter([](std::string_view line) { return line.find("zqxj") != std::string_view::npos; })
      .Count()
      .ForeachBatch([&](const Batch<int64_t>& batch) {
        batch.ForEach([&](int64_t n) { found += static_cast<uint64_t>(n); });
      });
  job.RunAndShow({.runs = runs,
                  .floor_o2 = [&] { by_floor += floors_o2::GrepByLine(lines); },
                  .floor_native = [&] { by_native += floors_native::GrepByLine(lines); },
                  .equal = [&] { return found == by_floor && found == by_native; }},
                 "M lines/CPU-s");
}

void WordCount(uint64_t count, uint32_t vocabulary, int runs) {
  const std::string name = "B2 WordCount, " + std::to_string(vocabulary) + " words";
  const Lines lines = MakeLines(count, vocabulary, 0, false);
  const std::vector<std::string_view> views = Views(lines);
  const bool small = vocabulary <= 10'000;  // the table is best probed directly, else prefetched
  WordSums sums, by_floor, by_native;
  LineJob job(name + ": one process, whole runtime", views, kLineSize);
  job.stream()
      .FlatMap(SplitWords)
      .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
      .ReduceByKey(std::plus<>())
      .ForeachBatch([&](const Batch<std::pair<std::string, int64_t>>& batch) {
        batch.ForEach([&](const std::pair<std::string_view, int64_t>& row) {
          sums.total += static_cast<uint64_t>(row.second);
          sums.checksum += KeyHash(row.first) * static_cast<uint64_t>(row.second);
        });
      });
  const auto add = [&](WordSums& to, const WordSums& pass) {
    to.total += pass.total;
    to.checksum += pass.checksum;
  };
  job.RunAndShow(
      {.runs = runs,
       .floor_o2 = [&] { add(by_floor, small ? floors_o2::CountWordsDirect(lines)
                                             : floors_o2::CountWordsRing(lines)); },
       .floor_native = [&] { add(by_native, small ? floors_native::CountWordsDirect(lines)
                                                  : floors_native::CountWordsRing(lines)); },
       .equal = [&] { return sums == by_floor && sums == by_native; }},
      "M lines/CPU-s");
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  const BenchArgs args = BeginBench(argc, argv);
  const uint64_t lines = args.RecordsOr(kLines);
  if (args.Wants("grep")) Grep(lines, args.runs);
  if (args.Wants("words10000")) WordCount(lines, 10'000, args.runs);
  if (args.Wants("words1000000")) WordCount(lines, 1'000'000, args.runs);
}
