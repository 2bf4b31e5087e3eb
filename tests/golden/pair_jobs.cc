// Operators on pairs within a batch.
#include "tests/golden/golden_jobs.h"

namespace sluice::golden {
namespace {

int64_t Tenfold(int64_t value) { return 10 * value; }
auto WordWithOne(std::string_view word) { return std::pair{word, int64_t{1}}; }
// "a1" is (a, "1").
auto KeyAndDigits(std::string_view word) { return std::pair{word.substr(0, 1), word.substr(1)}; }
std::string Join(std::string_view a, std::string_view b) {
  return std::string(a) + std::string(b);
}
auto Sum = std::plus<>();

std::vector<int64_t> Both(int64_t value) { return {value, -value}; }

std::vector<int64_t> ListOf(int64_t value) { return {value}; }
std::vector<int64_t> Appended(std::vector<int64_t> list, int64_t value) {
  list.push_back(value);
  return list;
}
std::vector<int64_t> Joined(std::vector<int64_t> a, const std::vector<int64_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

std::vector<Job> PairJobs() {
  return {
      SLUICE_GOLDEN_JOB(pairs.MapValues(Tenfold)),
      SLUICE_GOLDEN_JOB(pairs.FlatMapValues(Both)),
      SLUICE_GOLDEN_JOB(words.Map(WordWithOne).ReduceByKey(Sum)),
      SLUICE_GOLDEN_JOB(words.Map(KeyAndDigits).ReduceByKey(Join)),
      SLUICE_GOLDEN_JOB(pairs.GroupByKey()),
      SLUICE_GOLDEN_JOB(pairs.Repartition(2).CombineByKey(ListOf, Appended, Joined)),
      SLUICE_GOLDEN_JOB(
          pairs.Repartition(2).CombineByKey(ListOf, Appended, Joined, {.map_side = false})),
      SLUICE_GOLDEN_JOB(pairs.ReduceByKey(Sum).MapValues(Tenfold).GroupByKey()),
  };
}

}  // namespace sluice::golden
