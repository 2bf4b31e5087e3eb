// Windows, and windowed folds by key.
#include "tests/golden/golden_jobs.h"

namespace sluice::golden {
namespace {

using namespace std::chrono_literals;

auto KeyAndDigits(std::string_view word) { return std::pair{word.substr(0, 1), word.substr(1)}; }
std::string Join(std::string_view a, std::string_view b) {
  return std::string(a) + std::string(b);
}
auto Sum = std::plus<>();
auto Difference = std::minus<>();  // Difference(Sum(a, b), a) is b
// Of the three batches behind each second one, the two oldest.
SliceTimes TwoOfThree(int64_t batch_ms) {
  const int64_t even_ms = batch_ms / 2000 * 2000;
  return {even_ms - 2000, even_ms - 1000};
}

bool IsNotZero(std::string_view, int64_t sum) { return sum != 0; }

}  // namespace

std::vector<Job> WindowJobs() {
  return {
      SLUICE_GOLDEN_JOB(words.Window({.length = 3s})),
      SLUICE_GOLDEN_JOB(words.Window({.length = 3s, .slide = 2s})),
      SLUICE_GOLDEN_JOB(
          words.Repartition(2).Window({.length = 2s}).SaveAsTextFiles(prefix)),
      SLUICE_GOLDEN_JOB(words.Window({.length = 2s, .slide = 3s})),
      SLUICE_GOLDEN_JOB(words.Window({.length = 2s, .slide = 2s}).Window({.length = 4s})),
      SLUICE_GOLDEN_JOB(words.Window({.length = 2s, .slide = 2s}).Count()),
      SLUICE_GOLDEN_JOB(words.Window({.length = 2s, .slide = 2s}).Print(3)),
      SLUICE_GOLDEN_JOB(words.Map(KeyAndDigits).ReduceByKeyAndWindow(Join, {.length = 3s})),
      SLUICE_GOLDEN_JOB(words.Map(KeyAndDigits).ReduceByKeyAndWindow(Join, {.length = 7s})),
      SLUICE_GOLDEN_JOB(
          words.Map(KeyAndDigits).ReduceByKeyAndWindow(Join, {.length = 3s, .slide = 2s})),
      SLUICE_GOLDEN_JOB(
          words.Map(KeyAndDigits).ReduceByKeyAndWindow(Join, {.length = 1s, .slide = 2s})),
      SLUICE_GOLDEN_JOB(pairs.ReduceByKeyAndWindow(Sum, Difference, {.length = 3s})),
      SLUICE_GOLDEN_JOB(
          pairs.ReduceByKeyAndWindow(Sum, Difference, {.length = 2s, .slide = 2s})),
      SLUICE_GOLDEN_JOB(
          pairs.ReduceByKeyAndWindow(Sum, Difference, {.length = 2s, .slide = 3s})),
      SLUICE_GOLDEN_JOB(pairs.ReduceByKeyAndWindow(Sum, {.length = 2s})),
      SLUICE_GOLDEN_JOB(
          pairs.ReduceByKeyAndWindow(Sum, Difference, {.length = 3s}, IsNotZero)),
      SLUICE_GOLDEN_JOB(pairs.ReduceByKeyAndWindow(
          Sum, Difference, {.length = 4s, .slide = 2s}, IsNotZero)),
      SLUICE_GOLDEN_JOB(words.ReduceByWindow(Join, {.length = 2s})),
      SLUICE_GOLDEN_JOB(
          numbers.ReduceByWindow(Sum, Difference, {.length = 3s, .slide = 2s})),
      SLUICE_GOLDEN_JOB(words.CountByWindow({.length = 2s})),
      SLUICE_GOLDEN_JOB(words.CountByWindow({.length = 1s, .slide = 2s})),
      SLUICE_GOLDEN_JOB(words.CountByValueAndWindow({.length = 2s})),
      SLUICE_GOLDEN_JOB(pairs.GroupByKeyAndWindow({.length = 2s})),
      SLUICE_GOLDEN_JOB(words.Slice({.from = 3s, .to = 2s})),
      SLUICE_GOLDEN_JOB(words.Slice({.from = 1s})),
      SLUICE_GOLDEN_JOB(
          words.Window({.length = 2s, .slide = 2s}).Slice({.from = 3s, .to = 1s})),
      SLUICE_GOLDEN_JOB((ssc.Remember(4s), words.Slice(TwoOfThree))),
  };
}

}  // namespace sluice::golden
