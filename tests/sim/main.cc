// sim --seed=N --seeds=M [--trace] [--find]: runs the seeds N to N+M-1. Prints every seed that
// breaks an invariant, which replays exactly; fails when there is one, or when some fault or
// recovery path never happened. With --find it stops at the first broken seed and then succeeds;
// with --trace it runs one seed and prints what happens.
//
// sim --seed=N --seeds=M --progress=FILE: says how far it is and keeps that in FILE; the same
// command goes on from there when it was ended.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "glog/logging.h"
#include "tests/sim/progress.h"
#include "tests/sim/seeds.h"

namespace {

constexpr uint64_t kFewSeeds = 100;  // fewer cannot meet everything

bool Has(int argc, char** argv, const char* flag) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], flag) == 0) return true;
  }
  return false;
}

const char* Text(int argc, char** argv, const char* name) {
  const std::string prefix = std::string("--") + name + "=";
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], prefix.c_str(), prefix.size()) == 0) return argv[i] + prefix.size();
  }
  return nullptr;
}

uint64_t Number(int argc, char** argv, const char* name, uint64_t otherwise) {
  const char* text = Text(argc, argv, name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// All seeds, a few hundred at a time, each time with its progress kept. None: said why.
std::optional<sluice::sim::SeedsResult> RunKept(uint64_t first, uint64_t count,
                                                const std::string& path) {
  using namespace sluice::sim;
  constexpr uint64_t kAtATime = 500;
  std::string error;
  std::optional<Progress> found = FindProgress(path, &error);
  Progress progress{.build = ThisBuild(), .first = first, .next = first, .result = {}};
  if (found.has_value() && (found->build != progress.build || found->first != first)) {
    error = path + " is of another program or of other seeds";
  }
  if (!error.empty()) {
    std::fprintf(stderr, "%s; remove it to begin anew\n", error.c_str());
    return std::nullopt;
  }
  if (found.has_value()) progress = *std::move(found);
  while (progress.next < first + count) {
    const uint64_t now = std::min(kAtATime, first + count - progress.next);
    Add(RunSeeds(progress.next, now, /*until_broken=*/false), &progress.result);
    progress.next += now;
    if (!KeepProgress(path, progress)) {
      std::fprintf(stderr, "cannot write %s\n", path.c_str());
      return std::nullopt;
    }
    std::printf("%llu of %llu seeds, %zu failed\n",
                static_cast<unsigned long long>(progress.next - first),
                static_cast<unsigned long long>(count), progress.result.broken.size());
  }
  return progress.result;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace sluice::sim;
  FLAGS_minloglevel = google::FATAL;
  google::InitGoogleLogging(argv[0]);
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
  const uint64_t first = Number(argc, argv, "seed", 1);
  const uint64_t count = Number(argc, argv, "seeds", 1);
  if (Has(argc, argv, "--trace")) {
    SeedsResult one;
    const RunResult run = RunSeed(first, &one.counters, /*trace=*/true);
    if (!run.broken.empty()) one.broken.emplace_back(first, run.broken.front());
    Print(one);
    return run.broken.empty() ? 0 : 1;
  }
  const bool find = Has(argc, argv, "--find");
  SeedsResult result;
  if (const char* path = Text(argc, argv, "progress")) {
    std::optional<SeedsResult> kept = RunKept(first, count, path);
    if (!kept.has_value()) return 1;
    result = *std::move(kept);
  } else {
    result = RunSeeds(first, count, find);
  }
  Print(result);
  if (find) return result.broken.empty() ? 1 : 0;
  return result.broken.empty() && (count < kFewSeeds || NeverHappened(result).empty()) ? 0 : 1;
}
