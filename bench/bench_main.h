// The head of every benchmark that runs whole jobs in one process.
//
//   X_bench [--records=N] [--runs=9] [--only=PART]
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::bench {

struct BenchArgs {
  uint64_t records = 0;  // of one pass; 0: what the workload says
  int runs = 9;
  std::string only;      // empty: all parts

  bool Wants(std::string_view part) const { return only.empty() || only == part; }
  uint64_t RecordsOr(uint64_t count) const { return records == 0 ? count : records; }
};

// Reads the flags, keeps the heap and lets only warnings out. Ends the program when they are wrong.
BenchArgs BeginBench(int argc, char** argv);

}  // namespace sluice::bench
