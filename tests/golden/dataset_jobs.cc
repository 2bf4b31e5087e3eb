// What looks at the whole dataset, samples and unions of many.
#include "tests/golden/golden_jobs.h"

namespace sluice::golden {
namespace {

int64_t Itself(int64_t number) { return number; }
size_t Length(std::string_view word) { return word.size(); }

}  // namespace

std::vector<Job> DatasetJobs() {
  return {
      SLUICE_GOLDEN_JOB(words.Distinct()),
      SLUICE_GOLDEN_JOB(numbers.SortBy(Itself)),
      SLUICE_GOLDEN_JOB(words.SortBy(Length, {.descending = true})),
      SLUICE_GOLDEN_JOB(words.SortBy(Length, {.partitions = 2}).SaveAsTextFiles(prefix)),
      SLUICE_GOLDEN_JOB(numbers.Top(3)),
      SLUICE_GOLDEN_JOB(words.Top(2, Length)),
      SLUICE_GOLDEN_JOB(words.Glom()),
      SLUICE_GOLDEN_JOB(words.Sample(0)),
      SLUICE_GOLDEN_JOB(words.Sample(1)),
      SLUICE_GOLDEN_JOB(words.Union(words).Sample(0.5)),
      SLUICE_GOLDEN_JOB(ssc.Union<std::string>({words, more, words})),
  };
}

}  // namespace sluice::golden
