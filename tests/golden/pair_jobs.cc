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

// "a" goes to the first partition, "b" to the second and so on, round and round.
uint64_t ByLetter(std::string_view key, uint32_t partitions) {
  return static_cast<uint64_t>(key[0] - 'a') % partitions;
}

std::optional<int64_t> AddUp(std::span<const int64_t> values, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t value : values) sum += value;
  return sum;
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
      SLUICE_GOLDEN_JOB(pairs.ReduceByKey(Sum, {.partitioner = PartitionBy<std::string>(ByLetter)})
                            .SaveAsTextFiles(prefix)),
      SLUICE_GOLDEN_JOB(
          pairs.UpdateStateByKey("totals", AddUp,
                                 {.partitioner = PartitionBy<std::string>(ByLetter)})
              .SaveAsTextFiles(prefix)),
  };
}

}  // namespace sluice::golden
