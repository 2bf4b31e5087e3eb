// CoGroup and the joins: `pairs` on the left, "b7" of `more` as (b,7) on the right.
#include "tests/golden/golden_jobs.h"

namespace sluice::golden {
namespace {

using namespace std::chrono_literals;

auto KeyAndDigits(std::string_view word) { return std::pair{word.substr(0, 1), word.substr(1)}; }

// The even version holds for two seconds, then the odd one for two, and so on. Each has a and b;
// the odd one has c too, and the even one has a twice.
auto Versions(StreamingContext& ssc) {
  return ssc.StaticDataset<std::string, std::string>(
      "versions",
      [](int64_t batch_ms) { return std::string(batch_ms / 2000 % 2 == 0 ? "even" : "odd"); },
      [](const std::string& version) {
        std::vector<std::pair<std::string, std::string>> pairs = {{"a", version}, {"b", version}};
        pairs.emplace_back(version == "odd" ? "c" : "a", version + "!");
        return pairs;
      });
}

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
      SLUICE_GOLDEN_JOB(pairs.Join(Versions(ssc))),
      SLUICE_GOLDEN_JOB(pairs.LeftOuterJoin(Versions(ssc))),
  };
}

}  // namespace sluice::golden
