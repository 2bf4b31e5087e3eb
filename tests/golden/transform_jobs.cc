// Transform and TransformWith, values per batch, Persist.
#include "tests/golden/golden_jobs.h"

namespace sluice::golden {
namespace {

using namespace std::chrono_literals;

// The last digit of the batch's second: 3 at 3s.
int64_t Digit(int64_t batch_ms) { return batch_ms / 1000 % 10; }

// "a" is "a@3" at 3s.
auto Stamped(BatchTime time) {
  return [time](std::string_view word) {
    return std::string(word) + "@" + std::to_string(Digit(time.ms()));
  };
}

// The time is asked before a shuffle and behind it.
constexpr auto StampedCounts = [](const auto& words, BatchTime time) {
  return words.Map(Stamped(time)).CountByValue().MapValues([time](int64_t count) {
    return 10 * Digit(time.ms()) + count;
  });
};

constexpr auto SecondStamped = [](const auto& first, const auto& second, BatchTime time) {
  return first.Union(second.Map(Stamped(time)));
};

constexpr auto CountOfEach = [](const std::vector<DStream<std::string>>& streams, BatchTime) {
  DStream<int64_t> counts = streams.front().Count();
  for (size_t i = 1; i < streams.size(); ++i) counts = counts.Union(streams[i].Count());
  return counts;
};

// What the job driver finds for each batch: a number, asked before a shuffle, and a text, asked
// behind it.
auto UpToLimit(StreamingContext& ssc) {
  const auto limit = ssc.PerBatch("limit", Digit);
  return [limit](int64_t number) { return number <= *limit; };
}
auto Labelled(StreamingContext& ssc) {
  const auto label = ssc.PerBatch("label", [](int64_t batch_ms) {
    return std::string(Digit(batch_ms) % 2 == 0 ? "even" : "odd");
  });
  return [label](const std::pair<int64_t, int64_t>& row) { return std::pair{label.Get(), row}; };
}

std::string Shout(std::string_view word) { return std::string(word) + "!"; }

// Two consumers of one stream, one of them behind a shuffle.
auto ItselfAndCount(const DStream<std::string>& words) {
  return words.Union(words.Count().Map([](int64_t count) { return std::to_string(count); }));
}

}  // namespace

std::vector<Job> TransformJobs() {
  return {
      SLUICE_GOLDEN_JOB(words.Transform(StampedCounts)),
      SLUICE_GOLDEN_JOB(words.Window({.length = 3s, .slide = 2s}).Transform(StampedCounts)),
      SLUICE_GOLDEN_JOB(words.TransformWith(more, SecondStamped)),
      SLUICE_GOLDEN_JOB(ssc.Transform({words, more, words}, CountOfEach)),
      SLUICE_GOLDEN_JOB(numbers.Filter(UpToLimit(ssc)).CountByValue().Map(Labelled(ssc))),
      SLUICE_GOLDEN_JOB(ItselfAndCount(words.Map(Shout).Persist())),
  };
}

}  // namespace sluice::golden
