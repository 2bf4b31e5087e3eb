// UpdateStateByKey.
#include "tests/golden/golden_jobs.h"

namespace sluice::golden {
namespace {

using namespace std::chrono_literals;

std::optional<int64_t> AddToTotal(std::span<const int64_t> values, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t value : values) sum += value;
  return sum;
}

// A total of zero is forgotten.
std::optional<int64_t> ForgetZero(std::span<const int64_t> values, std::optional<int64_t> total) {
  const std::optional<int64_t> sum = AddToTotal(values, total);
  return *sum == 0 ? std::nullopt : sum;
}

// For how many batches the key has had no values; the third is its last.
std::optional<int64_t> BatchesIdle(std::span<const int64_t> values, std::optional<int64_t> idle) {
  if (!values.empty()) return 0;
  return *idle == 2 ? std::nullopt : std::optional(*idle + 1);
}

// The values in the order in which they came.
std::optional<std::string> Append(std::span<const int64_t> values,
                                  std::optional<std::string> text) {
  std::string all = text.value_or("");
  for (const int64_t value : values) all += std::to_string(value);
  return all;
}

// When the key last had values, in seconds of batch time.
std::optional<std::string> LastSeen(BatchTime time, std::string_view key,
                                    std::span<const int64_t> values,
                                    std::optional<std::string> before) {
  if (values.empty()) return before;
  return std::string(key) + "@" + std::to_string((time.ms() - TestContext::kZeroMs) / 1000);
}

auto WordWithOne(std::string_view word) { return std::pair{word, int64_t{1}}; }

}  // namespace

std::vector<Job> StateJobs() {
  return {
      SLUICE_GOLDEN_JOB(pairs.UpdateStateByKey("totals", AddToTotal)),
      SLUICE_GOLDEN_JOB(pairs.UpdateStateByKey("totals", ForgetZero)),
      SLUICE_GOLDEN_JOB(pairs.UpdateStateByKey("idle", BatchesIdle)),
      SLUICE_GOLDEN_JOB(pairs.UpdateStateByKey("text", Append)),
      SLUICE_GOLDEN_JOB(
          pairs.UpdateStateByKey("totals", AddToTotal, {.idle_keys = IdleKeys::kSkip})),
      SLUICE_GOLDEN_JOB(words.Window({.length = 2s, .slide = 2s})
                            .Map(WordWithOne)
                            .UpdateStateByKey("totals", AddToTotal)),
      SLUICE_GOLDEN_JOB(pairs.UpdateStateByKey("totals", AddToTotal).Count()),
      SLUICE_GOLDEN_JOB(pairs.UpdateStateByKey("seen", LastSeen)),
      SLUICE_GOLDEN_JOB(pairs.UpdateStateByKey(
          "totals", AddToTotal, {.initial_state = {{"a", 10}, {"b", 0}, {"c", 1}, {"c", 3}}})),
      SLUICE_GOLDEN_JOB(pairs.UpdateStateByKey(
          "totals", ForgetZero, {.initial_state = {{"a", 10}, {"b", 0}}})),
      SLUICE_GOLDEN_JOB(pairs.UpdateStateByKey(
          "totals", AddToTotal,
          {.idle_keys = IdleKeys::kSkip, .initial_state = {{"a", 10}, {"b", 0}}})),
  };
}

}  // namespace sluice::golden
