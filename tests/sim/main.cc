// sim --seed=N --seeds=M [--trace] [--find]: runs the seeds N to N+M-1. Prints every seed that
// breaks an invariant, which replays exactly; fails when there is one, or when some fault or
// recovery path never happened. With --find it stops at the first broken seed and then succeeds;
// with --trace it runs one seed and prints what happens.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "glog/logging.h"
#include "tests/sim/seeds.h"

namespace {

constexpr uint64_t kFewSeeds = 100;  // fewer cannot meet everything

uint64_t Flag(int argc, char** argv, const char* name, uint64_t otherwise) {
  const std::string prefix = std::string("--") + name + "=";
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], prefix.c_str(), prefix.size()) == 0) {
      return std::strtoull(argv[i] + prefix.size(), nullptr, 10);
    }
  }
  return otherwise;
}

bool Has(int argc, char** argv, const char* flag) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], flag) == 0) return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace sluice::sim;
  FLAGS_minloglevel = google::FATAL;
  google::InitGoogleLogging(argv[0]);
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
  const uint64_t first = Flag(argc, argv, "seed", 1);
  const uint64_t count = Flag(argc, argv, "seeds", 1);
  if (Has(argc, argv, "--trace")) {
    SeedsResult one;
    const RunResult run = RunSeed(first, &one.counters, /*trace=*/true);
    if (!run.broken.empty()) one.broken.emplace_back(first, run.broken.front());
    Print(one);
    return run.broken.empty() ? 0 : 1;
  }
  const bool find = Has(argc, argv, "--find");
  const SeedsResult result = RunSeeds(first, count, find);
  Print(result);
  if (find) return result.broken.empty() ? 1 : 0;
  return result.broken.empty() && (count < kFewSeeds || NeverHappened(result).empty()) ? 0 : 1;
}
