// CoGroup and the joins: `pairs` on the left, "b7" of `more` as (b,7) on the right.
#include "tests/golden/golden_jobs.h"

namespace sluice::golden {
namespace {

using namespace std::chrono_literals;

auto KeyAndDigits(std::string_view word) { return std::pair{word.substr(0, 1), word.substr(1)}; }

}  // namespace

std::vector<Job> JoinJobs() {
  return {
      SLUICE_GOLDEN_JOB(pairs.CoGroup(more.Map(KeyAndDigits))),
      SLUICE_GOLDEN_JOB(pairs.Join(more.Map(KeyAndDigits))),
      SLUICE_GOLDEN_JOB(pairs.LeftOuterJoin(more.Map(KeyAndDigits))),
      SLUICE_GOLDEN_JOB(pairs.RightOuterJoin(more.Map(KeyAndDigits))),
      SLUICE_GOLDEN_JOB(pairs.FullOuterJoin(more.Map(KeyAndDigits))),
      SLUICE_GOLDEN_JOB(pairs.Window({.length = 2s})
                            .Join(more.Map(KeyAndDigits).Window({.length = 3s}))),
      SLUICE_GOLDEN_JOB(pairs.Join(pairs)),
  };
}

}  // namespace sluice::golden
