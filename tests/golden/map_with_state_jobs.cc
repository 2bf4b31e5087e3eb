// MapWithState.
#include "tests/golden/golden_jobs.h"

namespace sluice::golden {
namespace {

using namespace std::chrono_literals;

// A running total: "a3", and at its end "a!3".
std::string Total(std::string_view key, std::optional<int64_t> value, State<int64_t>& total) {
  if (total.IsTimingOut()) return std::string(key) + "!" + std::to_string(total.Get());
  total.Update(total.GetOption().value_or(0) + *value);
  return std::string(key) + std::to_string(total.Get());
}

// The same, but a 0 only looks, and -1 removes; what has no state gives nothing.
std::optional<std::string> Careful(const std::string& key, std::optional<int64_t> value,
                                   State<int64_t>& total) {
  if (total.IsTimingOut()) return key + "!" + std::to_string(total.Get());
  if (*value == -1) total.Remove();
  else if (*value != 0) total.Update(total.GetOption().value_or(0) + *value);
  if (!total.Exists()) return std::nullopt;
  return key + std::to_string(total.Get());
}

// The seconds of batch time of this record and of the one before it: "a@3" or "a@5after3".
std::string Times(BatchTime time, std::string_view key, std::optional<int64_t>,
                  State<int64_t>& last) {
  const int64_t now = (time.ms() - TestContext::kZeroMs) / 1000;
  std::string text = std::string(key) + "@" + std::to_string(now);
  if (last.Exists()) text += "after" + std::to_string(last.Get());
  if (!last.IsTimingOut()) last.Update(now);
  return text;
}

auto WordWithOne(std::string_view word) { return std::pair{word, int64_t{1}}; }

}  // namespace

std::vector<Job> MapWithStateJobs() {
  return {
      SLUICE_GOLDEN_JOB(pairs.MapWithState("totals", Total)),
      SLUICE_GOLDEN_JOB(pairs.MapWithState("totals", Total, {.idle_timeout = 2s})),
      SLUICE_GOLDEN_JOB(pairs.MapWithState("totals", Careful, {.idle_timeout = 2s})),
      SLUICE_GOLDEN_JOB(pairs.MapWithState("totals", Careful)),
      SLUICE_GOLDEN_JOB(
          pairs.MapWithState("totals", Careful, {.idle_timeout = 2s}).StateSnapshots()),
      SLUICE_GOLDEN_JOB(pairs.MapWithState(
          "totals", Total, {.idle_timeout = 2s, .initial_state = {{"a", 10}, {"c", 5}}})),
      SLUICE_GOLDEN_JOB(pairs.MapWithState("times", Times, {.idle_timeout = 1s})),
      SLUICE_GOLDEN_JOB(words.Window({.length = 2s, .slide = 2s})
                            .Map(WordWithOne)
                            .MapWithState("totals", Total, {.idle_timeout = 2s})),
      SLUICE_GOLDEN_JOB(pairs.MapWithState("totals", Total).Count()),
  };
}

}  // namespace sluice::golden
