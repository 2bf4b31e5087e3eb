// ReduceByWindow, CountByWindow, CountByValueAndWindow and GroupByKeyAndWindow.
#include <deque>
#include <map>
#include <random>

#include "driver/api/scripted_program.h"

namespace sluice {
namespace {

using std::chrono::seconds;

TEST(ReduceByWindow, FoldsOlderBeforeNewer) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.ReduceByWindow([](std::string_view a, std::string_view b) {
           return std::string(a) + std::string(b);
         }, {.length = seconds(2)})
        .Print(100);
  });
  EXPECT_EQ(program.Sorted({{"a", "b"}, {"c"}}), Rows{"abc"});  // partial at the start
  EXPECT_EQ(program.Sorted({{"d"}}), Rows{"abcd"});
  EXPECT_EQ(program.Sorted({{}}), Rows{"d"});
  EXPECT_EQ(program.Sorted({}), Rows{});  // empty, not none
  EXPECT_EQ(program.Parts({{"e"}}).size(), 1u);
}

TEST(ReduceByWindow, WithAnInverseGivesTheSame) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    const auto numbers = lines.Map([](const std::string& line) { return std::stoll(line); });
    const WindowOptions window{.length = seconds(3), .slide = seconds(2)};
    numbers.ReduceByWindow(std::plus<>(), window).Print(100);
    numbers.ReduceByWindow(std::plus<>(), std::minus<>(), window).Print(100);
  });
  const std::vector<std::pair<std::vector<Rows>, Rows>> batches = {
      {{{"1"}}, {"none"}}, {{{"10", "20"}}, {"31"}}, {{{}}, {"none"}}, {{{"5"}}, {"35"}},
      {{{"-5"}}, {"none"}}, {{{}}, {"0"}},  // a sum of zero stays
      {{{}}, {"none"}}, {{{}}, {}}};
  for (const auto& [input, expected] : batches) {
    EXPECT_EQ(program.Sorted(input), expected);
    EXPECT_EQ(program.SortedOf(1), expected);
  }
}

TEST(CountByWindow, SaysNothingUntilTheFirstRecordThenZeroForEmptyWindows) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.CountByWindow({.length = seconds(2)}).Print(100);
  });
  EXPECT_EQ(program.Sorted({{}}), Rows{});
  EXPECT_EQ(program.Sorted({}), Rows{});
  EXPECT_EQ(program.Sorted({{"a", "b"}, {"c"}}), Rows{"3"});
  EXPECT_EQ(program.Sorted({{"d"}}), Rows{"4"});
  EXPECT_EQ(program.Sorted({{}}), Rows{"1"});
  EXPECT_EQ(program.Sorted({{}}), Rows{"0"});
  EXPECT_EQ(program.Sorted({}), Rows{"0"});
  EXPECT_EQ(program.Sorted({{"e"}}), Rows{"1"});
}

TEST(CountByWindow, AndReduceByWindowHaveOnePartitionWhateverTheirOptionsSay) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    const WindowOptions window{.length = seconds(2), .partitions = 5};
    lines.CountByWindow(window).Print();
    lines.Map([](const std::string& line) { return std::stoll(line); })
        .ReduceByWindow(std::plus<>(), window)
        .Print();
  });
  EXPECT_EQ(program.Parts({{"1", "2"}, {"3"}}, 0), std::vector<Rows>{{"3"}});
  EXPECT_EQ(program.Parts({{"4"}}, 1), std::vector<Rows>{{"10"}});
}

TEST(CountByWindow, SlidesAndLeavesGaps) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.CountByWindow({.length = seconds(3), .slide = seconds(2)}).Print(100);
  });
  const std::vector<Rows> wide = {{"none"}, {"3"}, {"none"}, {"4"}, {"none"}, {"3"}};
  for (size_t batch = 0; batch < wide.size(); ++batch) {  // 1, 2, 2, 0, 1, 2 records
    const size_t size = std::vector<size_t>{1, 2, 2, 0, 1, 2}[batch];
    EXPECT_EQ(program.Sorted({Rows(size, "x")}), wide[batch]) << batch;
  }
  ScriptedProgram gaps([](StreamingContext&, DStream<std::string> lines) {
    lines.CountByWindow({.length = seconds(1), .slide = seconds(2)}).Print(100);
  });
  EXPECT_EQ(gaps.Sorted({{"a", "b"}}), Rows{"none"});
  EXPECT_EQ(gaps.Sorted({{}}), Rows{});  // no window has had a record
  EXPECT_EQ(gaps.Sorted({{"c"}}), Rows{"none"});
  EXPECT_EQ(gaps.Sorted({{"d"}}), Rows{"1"});
}

TEST(CountByValueAndWindow, DropsWhatTheWindowHasNoMore) {
  for (const uint32_t partitions : {1, 2, 7}) {
    ScriptedProgram program(
        [](StreamingContext&, DStream<std::string> lines) {
          lines.CountByValueAndWindow({.length = seconds(2)}).Print(100);
        },
        partitions);
    EXPECT_EQ(program.Sorted({{"a", "b"}, {"a"}}), (Rows{"(a,2)", "(b,1)"}));
    EXPECT_EQ(program.Sorted({{"b"}}), (Rows{"(a,2)", "(b,2)"}));
    EXPECT_EQ(program.Sorted({{}}), Rows{"(b,1)"});
    EXPECT_EQ(program.Sorted({{}}), Rows{});
  }
}

TEST(GroupByKeyAndWindow, HasTheValuesOfOlderBatchesFirst) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.Map([](std::string_view line) { return std::pair{line.substr(0, 1), line.substr(1)}; })
        .GroupByKeyAndWindow({.length = seconds(2), .partitions = 1})
        .Print(100);
  });
  EXPECT_EQ(program.Parts({{"b1", "a2"}, {"b3"}}), (std::vector<Rows>{{"(b,[1,3])", "(a,[2])"}}));
  EXPECT_EQ(program.Parts({{"a4", "c5"}}),
            (std::vector<Rows>{{"(b,[1,3])", "(a,[2,4])", "(c,[5])"}}));
  EXPECT_EQ(program.Parts({{"b6"}}), (std::vector<Rows>{{"(a,[4])", "(c,[5])", "(b,[6])"}}));
  EXPECT_EQ(program.Sorted({{}}), Rows{"(b,[6])"});
  EXPECT_EQ(program.Sorted({}), Rows{});
}

// All of them against a plain recomputation from the last three batches.
TEST(WindowForms, AreWhatARecomputationGives) {
  for (const uint32_t partitions : {1, 2, 7}) {
    ScriptedProgram program(
        [](StreamingContext&, DStream<std::string> lines) {
          const WindowOptions window{.length = seconds(3)};
          lines.CountByValueAndWindow(window).Print(1000);
          lines.Map([](std::string_view line) { return std::pair{line, int64_t{1}}; })
              .GroupByKeyAndWindow(window)
              .MapValues([](const std::vector<int64_t>& ones) { return ones.size(); })
              .Print(1000);
        },
        partitions);
    std::mt19937 random(partitions);
    std::deque<Rows> held;
    for (int batch = 0; batch < 40; ++batch) {
      std::vector<Rows> tasks(random() % 4);
      held.emplace_back();
      if (held.size() > 3) held.pop_front();
      for (Rows& task : tasks) {
        for (size_t i = random() % 4; i > 0; --i) {
          task.push_back(std::string(1, static_cast<char>('a' + random() % 5)));
          held.back().push_back(task.back());
        }
      }
      std::map<std::string, int> counts;
      for (const Rows& rows : held) {
        for (const std::string& row : rows) ++counts[row];
      }
      Rows expected;
      for (const auto& [row, count] : counts) {
        expected.push_back("(" + row + "," + std::to_string(count) + ")");
      }
      EXPECT_EQ(program.Sorted(tasks, 0), expected) << batch;
      EXPECT_EQ(program.SortedOf(1), expected) << batch;
    }
  }
}

}  // namespace
}  // namespace sluice
