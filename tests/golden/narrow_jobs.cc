// Narrow operators, what looks at the whole dataset, and outputs.
#include <tuple>

#include "tests/golden/golden_jobs.h"

namespace sluice::golden {
namespace {

std::string Shout(std::string_view word) { return std::string(word) + "!"; }

std::vector<std::string> Letters(const std::string& word) {
  std::vector<std::string> letters;
  for (const char c : word) letters.emplace_back(1, c);
  return letters;
}

bool IsEven(int64_t number) { return number % 2 == 0; }

// How many records the partition has, and its first one.
std::vector<std::string> SizeAndFirst(std::span<const std::string> records) {
  return {std::to_string(records.size()) + (records.empty() ? "" : ":" + records.front())};
}

std::string Join(std::string_view a, std::string_view b) {
  return std::string(a) + std::string(b);
}

struct Point {
  int64_t x;
  double y;
};

auto EveryForm(int64_t n) {
  return std::tuple{n, n / 4.0, n > 0 ? std::optional(n) : std::nullopt,
                    std::vector<int64_t>(n, 7), Point{n, -0.5}};
}

}  // namespace

std::vector<Job> NarrowJobs() {
  return {
      SLUICE_GOLDEN_JOB(words.Map(Shout)),
      SLUICE_GOLDEN_JOB(words.FlatMap(Letters)),
      SLUICE_GOLDEN_JOB(words.FlatMap(SplitWords)),
      SLUICE_GOLDEN_JOB(numbers.Filter(IsEven)),
      SLUICE_GOLDEN_JOB(words.Repartition(2).MapPartitions(SizeAndFirst)),
      SLUICE_GOLDEN_JOB(words.MapPartitions(SizeAndFirst)),
      SLUICE_GOLDEN_JOB(words.Union(more)),
      SLUICE_GOLDEN_JOB(words.Union(words.Map(Shout))),
      SLUICE_GOLDEN_JOB(words.Union(more).Count()),
      SLUICE_GOLDEN_JOB(words.Count()),
      SLUICE_GOLDEN_JOB(words.Reduce(Join)),
      SLUICE_GOLDEN_JOB(words.CountByValue()),
      SLUICE_GOLDEN_JOB(words.Repartition(3).SaveAsTextFiles(prefix)),
      SLUICE_GOLDEN_JOB(words.Repartition(2).SaveAsTextFiles(prefix, "txt")),
      SLUICE_GOLDEN_JOB(words.Union(more).Map(Shout).SaveAsTextFiles(prefix)),
      SLUICE_GOLDEN_JOB(numbers.Print()),
      SLUICE_GOLDEN_JOB(words.Print(2)),
      SLUICE_GOLDEN_JOB(words.ForeachBatch(calls)),
      SLUICE_GOLDEN_JOB(numbers.Map(EveryForm)),
  };
}

}  // namespace sluice::golden
