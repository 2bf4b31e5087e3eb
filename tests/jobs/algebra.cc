// Operators that no other job of these tests has, each into an output of its own, over lines
// "KEY NUMBER[ PADDING]" of the directories --left and --right. The outputs "left" and "right" say
// what each batch has taken; tests/system/algebra_test.py works the others out from them.
#include <unistd.h>

#include <charconv>

#include "sluice/sluice.h"

using namespace std::chrono_literals;

constexpr auto kInterval = 250ms;
using Row = std::pair<std::string, int64_t>;

std::pair<std::string_view, int64_t> KeyAndNumber(std::string_view line) {
  const size_t blank = line.find(' ');
  int64_t number = 0;
  std::from_chars(line.data() + blank + 1, line.data() + line.size(), number);
  return {line.substr(0, blank), number};
}

int64_t NumberOf(const Row& row) { return row.second; }

int64_t TicksOf(int64_t batch_ms) { return batch_ms / kInterval.count(); }

// Another one at every fourth batch; without the keys that end in its digit.
std::vector<Row> LoadTable(const std::string& version) {
  std::vector<Row> table;
  for (int64_t key = 0; key < 10; ++key) {
    if (std::to_string(key) == version) continue;
    table.emplace_back("k" + std::to_string(key), key * 10 + std::stoll(version));
  }
  return table;
}

// "KEY@BATCH" and how many records of either stream have the key.
constexpr auto CountsOfBoth = [](const auto& left, const auto& right, sluice::BatchTime time) {
  return left.Union(right)
      .Map([time](const auto& row) {
        return std::string(row.first) + "@" + std::to_string(time.ms());
      })
      .CountByValue();
};

struct Total {
  int64_t records = 0;
  int64_t sum = 0;
};

// The total of a key that is idle for too long, and nothing else.
std::optional<std::pair<std::string, Total>> AddUp(std::string_view key,
                                                   std::optional<int64_t> number,
                                                   sluice::State<Total>& state) {
  if (state.IsTimingOut()) return std::pair{std::string(key), state.Get()};
  const Total before = state.GetOption().value_or(Total{});
  state.Update({before.records + 1, before.sum + *number});
  return std::nullopt;
}

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string output = ssc.args().Get("output") + "/";
  sluice::DStream<Row> left = ssc.TextFileStream(ssc.args().Get("left")).Map(KeyAndNumber);
  sluice::DStream<Row> right = ssc.TextFileStream(ssc.args().Get("right")).Map(KeyAndNumber);
  left.SaveAsTextFiles(output + "left");
  right.SaveAsTextFiles(output + "right");

  left.Join(right).SaveAsTextFiles(output + "join");
  left.MapValues([](int64_t number) { return std::to_string(number); })
      .RightOuterJoin(right)
      .SaveAsTextFiles(output + "right_outer_join");
  left.CoGroup(right).SaveAsTextFiles(output + "co_group");
  const auto table = ssc.StaticDataset<std::string, int64_t>(
      "table", [](int64_t batch_ms) { return std::to_string(TicksOf(batch_ms) / 4 % 10); },
      LoadTable);
  left.LeftOuterJoin(table).SaveAsTextFiles(output + "static_join");

  // Only the job driver has its process id: elsewhere the function would give another value.
  const auto planned = ssc.PerBatch("planned", [](int64_t batch_ms) {
    return std::pair{static_cast<int64_t>(getpid()), TicksOf(batch_ms) % 10};
  });
  left.Filter([planned](const Row& row) { return row.second % 10 == planned.Get().second; })
      .CountByValue()
      .Map([planned](const auto& counted) { return std::pair{planned.Get().first, counted.first}; })
      .SaveAsTextFiles(output + "per_batch");

  left.Slice({.from = 3 * kInterval, .to = kInterval}).SaveAsTextFiles(output + "slice");
  left.SortBy(NumberOf, {.descending = true, .partitions = 3}).SaveAsTextFiles(output + "sort");
  left.Top(7, NumberOf).SaveAsTextFiles(output + "top");
  left.Map(&Row::first).Distinct().SaveAsTextFiles(output + "distinct");
  left.TransformWith(right, CountsOfBoth).SaveAsTextFiles(output + "transform");
  left.ReduceByKeyAndWindow(std::plus<>(), std::minus<>(),
                            {.length = 4 * kInterval, .slide = 2 * kInterval})
      .SaveAsTextFiles(output + "window");

  const auto totals = left.MapWithState("totals", AddUp, {.idle_timeout = 6 * kInterval});
  totals.SaveAsTextFiles(output + "timed_out");
  totals.StateSnapshots().SaveAsTextFiles(output + "snapshots");
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "algebra", .batch_interval = kInterval}, BuildJob);
}
