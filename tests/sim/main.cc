// sim --seed=N --seeds=M [--trace] [--find]: runs the seeds N to N+M-1. Prints every seed that
// breaks an invariant, which replays exactly; fails when there is one, or when some fault or
// recovery path never happened. With --find it stops at the first broken seed and then succeeds.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/mutations.h"
#include "glog/logging.h"
#include "tests/sim/run.h"

namespace {

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
  const bool trace = Has(argc, argv, "--trace");
  const bool find = SLUICE_MUTATION != 0 || Has(argc, argv, "--find");
  const uint64_t first = Flag(argc, argv, "seed", 1);
  const uint64_t seeds = Flag(argc, argv, "seeds", 1);
  const auto begin = std::chrono::steady_clock::now();
  Counters counters;
  uint64_t bad = 0, events = 0;
  double virtual_s = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    const RunResult result = RunSeed(seed, &counters, trace);
    events += result.events;
    virtual_s += static_cast<double>(result.virtual_us) * 1e-6;
    if (result.broken.empty()) continue;
    ++bad;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                result.broken.front().c_str());
    if (!find) continue;
    std::printf("found within %llu seeds\n", static_cast<unsigned long long>(seed - first + 1));
    return 0;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (find) {
    std::printf("nothing was found in %llu seeds\n", static_cast<unsigned long long>(seeds));
    return 1;
  }
  for (const auto& [what, times] : counters) {
    std::printf("%10llu  %s\n", static_cast<unsigned long long>(times), what.c_str());
  }
  int missing = 0;
  for (const std::string& what : ExpectedCounters()) {
    if (counters.contains(what)) continue;
    std::printf("never happened: %s\n", what.c_str());
    missing += seeds >= 100;  // a few seeds cannot meet everything
  }
  std::printf("%llu seeds, %llu failed, %llu events, %.0f virtual s, %.1f s\n",
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(bad),
              static_cast<unsigned long long>(events), virtual_s, took.count());
  return bad != 0 || missing != 0 ? 1 : 0;
}
