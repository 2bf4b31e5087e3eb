#include "bench/bench_main.h"

#include <cstdio>
#include <cstdlib>

#include "common/net/heap.h"
#include "driver/api/args.h"
#include "glog/logging.h"

namespace sluice::bench {

BenchArgs BeginBench(int argc, char** argv) {
  Args args = Args::Parse({argv + 1, argv + argc});
  BenchArgs bench;
  bench.records = static_cast<uint64_t>(args.GetInt("records", 0));
  bench.runs = static_cast<int>(args.GetInt("runs", bench.runs));
  bench.only = args.Get("only", "");
  const Outcome outcome = args.Check();
  if (!outcome.ok()) {
    std::fprintf(stderr, "%s\n", outcome.message.c_str());
    std::exit(outcome.exit_code);
  }
  KeepHeap();
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::WARNING;
  google::InitGoogleLogging(argv[0]);
  return bench;
}

}  // namespace sluice::bench
