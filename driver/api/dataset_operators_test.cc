// Distinct, SortBy, Top and CombineByKey.
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <tuple>

#include "driver/api/scripted_program.h"

namespace sluice {
namespace {

using Build = void (*)(StreamingContext&, DStream<std::string>);

// "k12" is (k, 12).
auto ParsePair = [](const std::string& line) {
  return std::pair{line.substr(0, 1), int64_t{std::stoi(line.substr(1))}};
};

// ---- Distinct ---------------------------------------------------------------------------------

TEST(Distinct, GivesEachRecordOnceInTheOrderOfFirstArrival) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.Distinct({.partitions = 1}).Print(100);
  });
  EXPECT_EQ(program.Parts({{"b", "a", "b"}, {}, {"c", "a", ""}}),
            (std::vector<Rows>{{"b", "a", "c", ""}}));
  EXPECT_EQ(program.Parts({{"a"}}), (std::vector<Rows>{{"a"}}));  // nothing is remembered
  EXPECT_EQ(program.Parts({}), (std::vector<Rows>{{}}));
}

TEST(Distinct, GivesTheSameAtAnyPartitionCount) {
  for (const uint32_t partitions : {1, 2, 7}) {
    ScriptedProgram program(
        [](StreamingContext&, DStream<std::string> lines) {
          lines.Map(ParsePair).Distinct().Print(100);
        },
        partitions);
    EXPECT_EQ(program.Sorted({{"a1", "a2", "a1"}, {"b1", "a2"}}),
              (Rows{"(a,1)", "(a,2)", "(b,1)"}));
    EXPECT_EQ(program.Parts({}).size(), partitions);
  }
}

TEST(Distinct, TakesMinusZeroForZero) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.Map([](std::string_view line) { return line == "minus" ? -0.0 : 0.0; })
        .Distinct()
        .Print(100);
  });
  EXPECT_EQ(program.Sorted({{"minus", "plus"}}), Rows{"0"});
}

// ---- SortBy -----------------------------------------------------------------------------------

TEST(SortBy, OrdersAcrossPartitionsAndCutsThemEvenly) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    const auto length = [](std::string_view line) { return line.size(); };
    lines.SortBy(length, {.partitions = 1}).Print(100);
    lines.SortBy(length, {.descending = true, .partitions = 3}).Print(100);
    lines.SortBy(length).Print(100);
  });
  const std::vector<Rows> input = {{"ccc", "a", "bb"}, {"b", "dddd"}, {"aa"}};
  EXPECT_EQ(program.Parts(input, 0), (std::vector<Rows>{{"a", "b", "bb", "aa", "ccc", "dddd"}}));
  EXPECT_EQ(program.Parts(input, 1),
            (std::vector<Rows>{{"dddd", "ccc"}, {"bb", "aa"}, {"a", "b"}}));
  EXPECT_EQ(program.Parts(input, 2), (std::vector<Rows>{{"a", "b", "bb"}, {"aa", "ccc", "dddd"}}));
  EXPECT_EQ(program.Parts({{}}, 0), std::vector<Rows>{{}});
  EXPECT_EQ(program.Parts({}, 1), std::vector<Rows>(3));
  EXPECT_EQ(program.Parts({{"one"}}, 1), (std::vector<Rows>{{"one"}, {}, {}}));
}

TEST(SortBy, TakesFunctionsOfOwnedRecordsAndOfPairs) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.SortBy([](const std::string& line) { return line.substr(1); }, {.partitions = 1})
        .Print(100);
    lines.Map(ParsePair)
        .ReduceByKey(std::plus<>())
        .SortBy([](const auto& pair) { return std::pair{-pair.second, pair.first}; },
                {.partitions = 1})
        .Print(100);
  });
  const std::vector<Rows> input = {{"a2", "b1", "c2"}, {"b1"}};
  EXPECT_EQ(program.Parts(input, 0), (std::vector<Rows>{{"b1", "b1", "a2", "c2"}}));
  EXPECT_EQ(program.Parts(input, 1), (std::vector<Rows>{{"(a,2)", "(b,2)", "(c,2)"}}));
}

TEST(SortBy, PutsNanLastInBothDirections) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    const auto number = [](const std::string& line) { return std::strtod(line.c_str(), nullptr); };
    lines.SortBy(number, {.partitions = 1}).Print(100);
    lines.SortBy(number, {.descending = true, .partitions = 1}).Print(100);
  });
  const std::vector<Rows> input = {{"nan", "2", "-1"}, {"nan", "5"}};
  EXPECT_EQ(program.Parts(input, 0), (std::vector<Rows>{{"-1", "2", "5", "nan", "nan"}}));
  EXPECT_EQ(program.Parts(input, 1), (std::vector<Rows>{{"5", "2", "-1", "nan", "nan"}}));
}

// Ordinary records came out of order, and Top lost one.
TEST(SortBy, PutsNanLastAlsoWithinAKeyOfSeveralParts) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    const auto pair = [](const std::string& line) {
      return std::pair{std::strtod(line.c_str(), nullptr), line.back()};
    };
    const auto nested = [](const std::string& line) {
      const double number = std::strtod(line.c_str(), nullptr);
      return std::optional(std::tuple{std::vector{1.0, number}, std::array{number}, line.back()});
    };
    lines.SortBy(pair, {.partitions = 1}).Print(100);
    lines.SortBy(nested, {.partitions = 1}).Print(100);
    lines.SortBy(pair, {.descending = true, .partitions = 1}).Print(100);
    lines.SortBy(nested, {.descending = true, .partitions = 1}).Print(100);
  });
  const std::vector<Rows> input = {{"3", "2b", "nan", "2a", "1", "0.5"}};
  for (const size_t output : {0, 1}) {
    EXPECT_EQ(program.Parts(input, output),
              (std::vector<Rows>{{"0.5", "1", "2a", "2b", "3", "nan"}}));
    EXPECT_EQ(program.Parts(input, 2 + output),
              (std::vector<Rows>{{"3", "2b", "2a", "1", "0.5", "nan"}}));
  }
}

TEST(SortBy, OfManyTasksIsAStableSortOfAll) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.SortBy([](std::string_view line) { return line[0]; }, {.partitions = 1}).Print(10000);
  });
  std::mt19937 random(5);
  for (const size_t tasks : {1, 2, 3, 5, 8}) {
    std::vector<Rows> input(tasks);
    Rows all;
    for (Rows& task : input) {
      for (size_t i = random() % 200; i > 0; --i) {
        task.push_back(std::string(1, static_cast<char>('a' + random() % 9)) +
                       std::to_string(all.size()));
        all.push_back(task.back());
      }
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& a, const auto& b) { return a[0] < b[0]; });
    EXPECT_EQ(program.Parts(input), std::vector<Rows>{all}) << tasks;
  }
}

// ---- Top --------------------------------------------------------------------------------------

TEST(Top, GivesTheGreatestFirstAndOfEqualOnesTheEarlier) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.Top(2).Print(100);
    lines.Top(3, [](std::string_view line) { return line[0]; }).Print(100);
  });
  const std::vector<Rows> input = {{"a1", "b1", "a2"}, {"b2", "c1", "b3"}};
  EXPECT_EQ(program.Parts(input, 0), (std::vector<Rows>{{"c1", "b3"}}));
  EXPECT_EQ(program.Parts(input, 1), (std::vector<Rows>{{"c1", "b1", "b2"}}));
  EXPECT_EQ(program.Parts({{"x"}}, 1), (std::vector<Rows>{{"x"}}));
  EXPECT_EQ(program.Parts({}, 1), (std::vector<Rows>{{}}));
}

// Enough records that those which cannot win are dropped on the way.
TEST(Top, OfManyRecordsIsTheHeadOfASort) {
  ScriptedProgram program([](StreamingContext&, DStream<std::string> lines) {
    lines.Top(7, [](std::string_view line) { return line.substr(0, 3); }).Print(100);
  });
  std::mt19937 random(8);
  for (int batch = 0; batch < 3; ++batch) {
    std::vector<Rows> input(2);
    Rows all;
    for (Rows& task : input) {
      for (int i = 0; i < 9000; ++i) {
        std::string key(3, 'a');
        for (char& c : key) c = static_cast<char>('a' + random() % 5);
        all.push_back(task.emplace_back(key + std::to_string(all.size())));
      }
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.substr(0, 3) > b.substr(0, 3);
    });
    all.resize(7);
    EXPECT_EQ(program.Parts(input), std::vector<Rows>{all});
  }
}

TEST(Top, RefusesToTakeNothing) {
  StreamingContext ssc({.name = "test", .batch_interval = std::chrono::seconds(1)});
  ssc.QueueStream<std::string>(RecordQueue<std::string>()).Top(0).Print();
  EXPECT_EQ(ssc.Check().exit_code, 3);
}

// ---- CombineByKey -----------------------------------------------------------------------------

// Writes down what was called: [x] made of x, then +y for each value; tasks meet at |.
template <bool map_side>
void Written(StreamingContext&, DStream<std::string> lines) {
  lines.Map([](std::string_view line) { return std::pair{line.substr(0, 1), line.substr(1)}; })
      .CombineByKey([](std::string_view v) { return "[" + std::string(v) + "]"; },
                    [](const std::string& all, const std::string& v) { return all + "+" + v; },
                    [](std::string_view a, std::string_view b) {
                      return std::string(a) + "|" + std::string(b);
                    },
                    {.partitions = 1, .map_side = map_side})
      .Print(100);
}

TEST(CombineByKey, CombinesInTheTaskAndThenAcrossTasks) {
  ScriptedProgram program(Written<true>);
  EXPECT_EQ(program.Parts({{"b1", "a2", "b3"}, {"a4"}, {"a5", "a6"}}),
            (std::vector<Rows>{{"(b,[1]+3)", "(a,[2]|[4]|[5]+6)"}}));
  EXPECT_EQ(program.Parts({{}}), std::vector<Rows>{{}});
}

TEST(CombineByKey, WithoutMapSideSendsTheValues) {
  ScriptedProgram program(Written<false>);
  EXPECT_EQ(program.Parts({{"b1", "a2", "b3"}, {"a4"}, {"a5", "a6"}}),
            (std::vector<Rows>{{"(b,[1]+3)", "(a,[2]+4+5+6)"}}));
}

TEST(CombineByKey, AveragesAtAnyPartitionCount) {
  for (const uint32_t partitions : {1, 2, 7}) {
    ScriptedProgram program(
        [](StreamingContext&, DStream<std::string> lines) {
          using SumAndCount = std::pair<int64_t, int64_t>;
          lines.Map(ParsePair)
              .CombineByKey([](int64_t v) { return SumAndCount{v, 1}; },
                            [](const SumAndCount& c, int64_t v) {
                              return SumAndCount{c.first + v, c.second + 1};
                            },
                            [](const SumAndCount& a, const SumAndCount& b) {
                              return SumAndCount{a.first + b.first, a.second + b.second};
                            })
              .Print(100);
        },
        partitions);
    EXPECT_EQ(program.Sorted({{"a1", "b5", "a2"}, {"a6"}}), (Rows{"(a,(9,3))", "(b,(5,1))"}));
  }
}

}  // namespace
}  // namespace sluice
