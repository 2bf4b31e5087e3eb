// Windows (B3, B4) and keyed state (B7): whole batches through the whole engine in one process, on
// a clock that the benchmark moves, so that every batch holds exactly what it is to hold. The time
// is the CPU time of the process while a batch runs; every batch's output is checked.
//
//   batches_bench [--only=windows|sums|every|large]    # large, 10^7 keys, only when asked for
#include <algorithm>
#include <bit>
#include <cstdio>
#include <deque>
#include <random>

#include "bench/bench_main.h"
#include "bench/lines.h"
#include "bench/table.h"
#include "common/key_hash.h"
#include "sluice/testing.h"

namespace sluice::bench {
namespace {

using namespace std::chrono_literals;
using Counts = DStream<std::pair<std::string, int64_t>>;

// Milliseconds of the batches of one run: CPU of the process, with a checkpoint that follows the
// batch; and by the clock, from the tick until the output is called.
struct BatchTimes {
  std::vector<double> ms;
  std::vector<double> latency_ms;
  void Add(std::pair<double, double> batch) {
    ms.push_back(batch.first);
    latency_ms.push_back(batch.second);
  }
  double median() const { return Median(ms); }
  double worst() const { return Worst(ms); }
  double median_latency() const { return Median(latency_ms); }
  double worst_latency() const { return Worst(latency_ms); }

 private:
  static double Worst(const std::vector<double>& of) {
    return *std::max_element(of.begin(), of.end());
  }
};

void Show(const std::string& what, const BatchTimes& times, const std::string& compared) {
  char value[120];
  std::snprintf(value, sizeof value,
                "%8.2f ms CPU per batch, worst %.2f; to output %.1f, worst %.1f", times.median(),
                times.worst(), times.median_latency(), times.worst_latency());
  std::printf("%-50s | %-42s | %s\n", what.c_str(), value, compared.c_str());
  std::fflush(stdout);
}

std::string Times(double a, double b, const char* of, const char* asked) {
  char text[120];
  std::snprintf(text, sizeof text, "equal; %.2f times %s (asked: %s)", a / b, of, asked);
  return text;
}

template <class T>
class Runner {
 public:
  Runner() : test_({.partitions = 8, .slots = 2}), input_(test_) {}
  DStream<T> stream() const { return input_.stream(); }

  // Called by the output.
  void NoteOutput() { output_ = std::chrono::steady_clock::now(); }
  // Runs one batch and gives its times in milliseconds, as BatchTimes has them.
  std::pair<double, double> Batch(const std::vector<T>& records) {
    input_.Push(records);
    const auto begun = std::chrono::steady_clock::now();
    const double start = ProcessCpuSeconds();
    const Outcome outcome = test_.RunBatch();
    const double seconds = ProcessCpuSeconds() - start;
    RequireEqual(outcome.ok(), outcome.message);
    const std::chrono::duration<double, std::milli> latency = output_ - begun;
    return {seconds * 1e3, latency.count()};
  }

 private:
  std::chrono::steady_clock::time_point output_;  // settled when RunBatch returns
  TestContext test_;
  TestInput<T> input_;
};

// ---- windows --------------------------------------------------------------------------------

constexpr size_t kLinesPerBatch = 20'000;
constexpr size_t kSlices = 16;  // batch i has slice i mod 16
constexpr int kTimedBatches = 60;

struct WordSlices {
  std::vector<std::vector<std::string>> lines;
  std::vector<uint64_t> checksums;  // sum over words of (hash of the word) * count
};

WordSlices MakeSlices() {
  const Lines all = MakeLines(kLinesPerBatch * kSlices, 10'000, 0, false);
  WordSlices slices{std::vector<std::vector<std::string>>(kSlices),
                    std::vector<uint64_t>(kSlices)};
  uint32_t begin = 0;
  for (size_t i = 0; i < all.ends.size(); ++i) {
    const std::string line = all.bytes.substr(begin, all.ends[i] - begin);
    begin = all.ends[i];
    const size_t slice = i / kLinesPerBatch;
    for (size_t at = line.find_first_not_of(' '); at != std::string::npos;) {
      const size_t end = std::min(line.find(' ', at), line.size());
      slices.checksums[slice] += KeyHash(std::string_view(line).substr(at, end - at));
      at = line.find_first_not_of(' ', end);
    }
    slices.lines[slice].push_back(line);
  }
  return slices;
}

// `window` batches count in each output: the checksums of the batches add up.
template <class Build>
BatchTimes RunWindow(const WordSlices& slices, int window, const std::string& what,
                     const Build& build) {
  Runner<std::string> runner;
  uint64_t seen = 0;
  build(runner.stream().FlatMap(SplitWords).Map([](std::string_view word) {
    return std::pair{word, int64_t{1}};
  })).ForeachBatch([&](const Batch<std::pair<std::string, int64_t>>& batch) {
    runner.NoteOutput();
    seen = 0;
    batch.ForEach([&](const std::pair<std::string_view, int64_t>& row) {
      seen += KeyHash(row.first) * static_cast<uint64_t>(row.second);
    });
  });
  BatchTimes times;
  std::deque<uint64_t> inside;
  uint64_t expected = 0;
  for (int batch = 0; batch < window + kTimedBatches; ++batch) {
    const size_t slice = static_cast<size_t>(batch) % kSlices;
    const auto ms = runner.Batch(slices.lines[slice]);
    inside.push_back(slices.checksums[slice]);
    expected += inside.back();
    if (static_cast<int>(inside.size()) > window) {
      expected -= inside.front();
      inside.pop_front();
    }
    RequireEqual(seen == expected, what);
    if (batch >= window) times.Add(ms);
  }
  return times;
}

void Windows() {
  const WordSlices slices = MakeSlices();
  const auto count = [](auto pairs) -> Counts { return pairs.ReduceByKey(std::plus<>()); };
  const auto inverse = [](std::chrono::seconds length) {
    return [length](auto pairs) -> Counts {
      return pairs.ReduceByKeyAndWindow(std::plus<>(), std::minus<>(), {.length = length});
    };
  };
  const auto stacks = [](std::chrono::seconds length) {
    return [length](auto pairs) -> Counts {
      return pairs.ReduceByKeyAndWindow(std::plus<>(), {.length = length});
    };
  };
  const auto top = [](auto pairs) -> Counts {
    const Counts window =
        pairs.ReduceByKeyAndWindow(std::plus<>(), std::minus<>(), {.length = 30s});
    window.Top(10, [](const auto& row) { return row.second; })
        .ForeachBatch([](const Batch<std::pair<std::string, int64_t>>& batch) {
          RequireEqual(batch.size() == 10, "B3 TopKCount");
        });
    return window;
  };
  const BatchTimes words = RunWindow(slices, 1, "B2 of whole batches", count);
  Show("B2 WordCount, 20 K lines a batch", words, "equal");
  const BatchTimes a = RunWindow(slices, 30, "B4a", inverse(30s));
  Show("B4a window of 30, with inverse", a, Times(a.median(), words.median(), "B2", "1.25"));
  const BatchTimes b = RunWindow(slices, 30, "B4b", stacks(30s));
  Show("B4b window of 30, without inverse", b, Times(b.median(), a.median(), "B4a", "2"));
  const BatchTimes c = RunWindow(slices, 300, "B4c", inverse(300s));
  Show("B4c window of 300, with inverse", c, Times(c.median(), a.median(), "B4a", "1.1"));
  const BatchTimes d = RunWindow(slices, 300, "B4c", stacks(300s));
  Show("B4c window of 300, without inverse", d, Times(d.median(), b.median(), "B4b", "1.1"));
  Show("    its worst batch, to the output", d,
       Times(d.worst_latency(), d.median_latency(), "its median", "2"));
  const BatchTimes k = RunWindow(slices, 30, "B3", top);
  Show("B3 B4a and its ten greatest", k, Times(k.median(), a.median(), "B4a", "1.1"));
}

// ---- state ----------------------------------------------------------------------------------

using Deltas = std::vector<std::pair<int64_t, int64_t>>;
constexpr size_t kFilling = 100'000;  // records of a batch that fills the state

// The floor: a flat table of keys and values, probed a few keys ahead of the one at hand.
class FlatSums {
 public:
  explicit FlatSums(size_t keys) {
    while (slots_.size() < keys * 2) slots_.resize(std::max<size_t>(16, slots_.size() * 2));
    shift_ = 64 - static_cast<int>(std::bit_width(slots_.size() - 1));
  }
  // The sum of the new values.
  int64_t Add(const Deltas& deltas) {
    constexpr size_t kAhead = 16;
    int64_t sum = 0;
    for (size_t i = 0; i < deltas.size(); ++i) {
      if (i + kAhead < deltas.size()) __builtin_prefetch(&slots_[Place(deltas[i + kAhead].first)]);
      size_t at = Place(deltas[i].first);
      while (slots_[at].first != deltas[i].first + 1 && slots_[at].first != 0) {
        at = (at + 1) & (slots_.size() - 1);
      }
      slots_[at].first = deltas[i].first + 1;
      sum += slots_[at].second += deltas[i].second;
      total_ += deltas[i].second;
    }
    return sum;
  }
  int64_t total() const { return total_; }

 private:
  size_t Place(int64_t key) const {
    return (static_cast<uint64_t>(key) * 0x9e3779b97f4a7c15u) >> shift_;
  }
  std::vector<std::pair<int64_t, int64_t>> slots_;
  int shift_ = 0;
  int64_t total_ = 0;  // of all values
};

// What a line of keyed state is run with.
struct StateLoad {
  size_t held = 0;     // keys
  size_t records = 0;  // of each timed batch
  int batches = 20;    // timed ones
};

// Batches of records of any of the keys, behind enough to hold them all.
class Touches {
 public:
  explicit Touches(StateLoad load) : load_(load) {}
  size_t filling() const { return (load_.held + kFilling - 1) / kFilling; }
  Deltas Next() {
    Deltas deltas;
    const bool fills = made_ < filling();
    for (size_t i = 0; i < (fills ? kFilling : load_.records); ++i) {
      const size_t key = fills ? (made_ * kFilling + i) % load_.held : random_() % load_.held;
      deltas.emplace_back(static_cast<int64_t>(key), static_cast<int64_t>(i % 7));
    }
    ++made_;
    return deltas;
  }

 private:
  const StateLoad load_;
  size_t made_ = 0;
  std::mt19937_64 random_{7};
};

// kTouchedKeys: the program emits the new value of each record's key; kAllKeys: of every key.
enum class Emits { kTouchedKeys, kAllKeys };

template <class Build>
BatchTimes RunState(StateLoad load, Emits emits, double* floor_ms, const Build& build) {
  Runner<std::pair<int64_t, int64_t>> runner;
  int64_t seen = 0;
  build(runner.stream()).Reduce(std::plus<>()).ForeachBatch([&](const Batch<int64_t>& batch) {
    runner.NoteOutput();
    batch.ForEach([&](int64_t sum) { seen = sum; });
  });
  FlatSums floor(load.held);
  Touches touches(load);
  BatchTimes times, floor_times;
  for (size_t batch = 0; batch < touches.filling() + static_cast<size_t>(load.batches); ++batch) {
    const Deltas deltas = touches.Next();
    seen = 0;
    const auto ms = runner.Batch(deltas);
    const double start = ThreadCpuSeconds();
    const int64_t of_touched = floor.Add(deltas);
    const double floor_of_batch = (ThreadCpuSeconds() - start) * 1e3;
    RequireEqual(seen == (emits == Emits::kAllKeys ? floor.total() : of_touched), "B7");
    if (batch < touches.filling()) continue;
    times.Add(ms);
    floor_times.ms.push_back(floor_of_batch);
  }
  *floor_ms = floor_times.median();
  return times;
}

std::string Thousands(size_t number) { return std::to_string(number / 1000) + " K"; }

// One line; its median in milliseconds. `small_ms`: of the line to compare with, or 0.
double SumsLine(StateLoad load, double small_ms) {
  const auto mapped = [](const DStream<std::pair<int64_t, int64_t>>& deltas) {
    return deltas.MapWithState("sums", [](int64_t, std::optional<int64_t> delta,
                                          sluice::State<int64_t>& sum) {
      sum.Update(sum.GetOption().value_or(0) + *delta);
      return sum.Get();
    });
  };
  double floor_ms = 0;
  const BatchTimes times = RunState(load, Emits::kTouchedKeys, &floor_ms, mapped);
  char text[120];
  std::snprintf(text, sizeof text, "equal; floor %.2f ms (r %.2f)", floor_ms,
                floor_ms / times.median());
  std::string compared = text;
  if (small_ms != 0) compared += "; " + Times(times.median(), small_ms, "100 K keys", "1.3");
  Show("B7 MapWithState, " + Thousands(load.held) + " keys, " + Thousands(load.records) +
           " records",
       times, compared);
  return times.median();
}

// What a batch costs whatever is in it, and what a record costs beyond that.
void Sums() {
  const double empty_ms = SumsLine({100'000, 0}, 0);
  const double small_ms = SumsLine({100'000, 100'000}, 0);
  SumsLine({1'000'000, 100'000}, small_ms);
  for (const size_t held : {100'000, 1'000'000}) {
    const double ms = SumsLine({held, 1'000'000}, 0);
    std::printf("%-50s | %8.0f ns\n", "    of a record, without an empty batch",
                ms - empty_ms);
  }
}

void EveryKey() {
  const auto update = [](std::span<const int64_t> deltas, std::optional<int64_t> sum) {
    int64_t total = sum.value_or(0);
    for (const int64_t delta : deltas) total += delta;
    return std::optional<int64_t>(total);
  };
  const auto all = [&](const DStream<std::pair<int64_t, int64_t>>& deltas) {
    return deltas.UpdateStateByKey("sums", update).Map([](const auto& row) { return row.second; });
  };
  double floor_ms = 0;
  const BatchTimes times =
      RunState({1'000'000, kFilling, 5}, Emits::kAllKeys, &floor_ms, all);
  char text[120];
  std::snprintf(text, sizeof text, "equal; %.0f ns per key held", times.median() * 1e6 / 1'000'000);
  Show("B7 UpdateStateByKey, every key of 1 M", times, text);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  const BenchArgs args = BeginBench(argc, argv);
  if (args.Wants("windows")) Windows();
  if (args.Wants("sums")) Sums();
  if (args.Wants("every")) EveryKey();
  if (args.only == "one") SumsLine({100'000, args.RecordsOr(1'000'000), args.runs}, 0);
  if (args.only == "large") SumsLine({10'000'000, kFilling}, 0);
}
