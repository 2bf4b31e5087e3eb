#include "tests/sim/seeds.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <thread>

namespace sluice::sim {

void Add(const SeedsResult& more, SeedsResult* all) {
  all->seeds += more.seeds;
  all->events += more.events;
  all->virtual_s += more.virtual_s;
  for (const auto& [what, times] : more.counters) all->counters[what] += times;
  all->broken.insert(all->broken.end(), more.broken.begin(), more.broken.end());
}

SeedsResult RunSeeds(uint64_t first, uint64_t count, bool until_broken) {
  SeedsResult all;
  std::mutex mutex;
  std::atomic<uint64_t> next = first;
  std::atomic<bool> enough = false;
  const auto work = [&] {
    SeedsResult mine;
    for (uint64_t seed = next++; seed < first + count && !enough; seed = next++) {
      const RunResult run = RunSeed(seed, &mine.counters, /*trace=*/false);
      ++mine.seeds;
      mine.events += run.events;
      mine.virtual_s += static_cast<double>(run.virtual_us) * 1e-6;
      if (run.broken.empty()) continue;
      mine.broken.emplace_back(seed, run.broken.front());
      if (until_broken) enough = true;
    }
    const std::lock_guard<std::mutex> lock(mutex);
    Add(mine, &all);
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back(work);
  }
  for (std::thread& thread : threads) thread.join();
  std::sort(all.broken.begin(), all.broken.end());
  return all;
}

std::vector<std::string> NeverHappened(const SeedsResult& result) {
  std::vector<std::string> missing;
  for (const std::string& what : ExpectedCounters()) {
    if (!result.counters.contains(what)) missing.push_back(what);
  }
  return missing;
}

void Print(const SeedsResult& result) {
  for (const auto& [seed, what] : result.broken) {
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), what.c_str());
  }
  for (const auto& [what, times] : result.counters) {
    std::printf("%10llu  %s\n", static_cast<unsigned long long>(times), what.c_str());
  }
  for (const std::string& what : NeverHappened(result)) {
    std::printf("never happened: %s\n", what.c_str());
  }
  std::printf("%llu seeds, %zu failed, %llu events, %.0f virtual s\n",
              static_cast<unsigned long long>(result.seeds), result.broken.size(),
              static_cast<unsigned long long>(result.events), result.virtual_s);
}

}  // namespace sluice::sim
