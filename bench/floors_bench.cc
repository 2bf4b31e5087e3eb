// The floors of one workload, for a benchmark whose job runs in other processes:
//
//   floors_bench --job=grep|words [--lines=500000] [--vocabulary=10000] [--runs=5]
//
// The last line is: M lines per second at -O2, at -O3 for this machine, total, checksum.
#include <cinttypes>
#include <cstdio>

#include "bench/lines.h"
#include "bench/word_floors.h"
#include "driver/api/args.h"

int main(int argc, char** argv) {
  using namespace sluice::bench;
  sluice::Args args = sluice::Args::Parse({argv + 1, argv + argc});
  const auto count = static_cast<uint64_t>(args.GetInt("lines", 500'000));
  const auto vocabulary = static_cast<uint32_t>(args.GetInt("vocabulary", 10'000));
  const auto runs = static_cast<int>(args.GetInt("runs", 5));
  const bool grep = args.Get("job") == "grep";
  const sluice::Outcome outcome = args.Check();
  if (!outcome.ok()) {
    std::fprintf(stderr, "%s\n", outcome.message.c_str());
    return outcome.exit_code;
  }
  const Lines lines = MakeLines(count, vocabulary, 0, grep);
  if (grep) {
    const GrepFloors floors = MeasureGrepFloors(lines, runs);
    std::printf("%f %f %" PRIu64 " 0\n", floors.o2, floors.native, floors.found);
  } else {
    const WordFloors floors = MeasureWordFloors(lines, "words", runs);
    std::printf("%f %f %" PRIu64 " %" PRIu64 "\n", floors.o2, floors.native, floors.sums.total,
                floors.sums.checksum);
  }
}
