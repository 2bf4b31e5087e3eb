// What the operators give, run by the reference interpreter at several partition counts.
#include <gtest/gtest.h>

#include "driver/api/scripted_program.h"

namespace sluice {
namespace {

using Program = ScriptedProgram;

auto PairWithOne = [](std::string_view word) { return std::pair{word, int64_t{1}}; };

TEST(Operators, WordCountGivesTheSameAtAnyPartitionCount) {
  for (const uint32_t partitions : {1, 2, 7}) {
    Program program(
        [](StreamingContext&, DStream<std::string> lines) {
          auto counts = lines.FlatMap(SplitWords).Map(PairWithOne).ReduceByKey(std::plus<>());
          static_assert(
              std::same_as<decltype(counts), DStream<std::pair<std::string, int64_t>>>);
          counts.Print(100);
        },
        partitions);
    EXPECT_EQ(program.Sorted({{"to be  or", "not to be"}, {}, {"\tor "}}),
              (Rows{"(be,2)", "(not,1)", "(or,2)", "(to,2)"}));
    EXPECT_EQ(program.Sorted({{}}), Rows{});
    EXPECT_EQ(program.Parts({}).size(), partitions);
  }
}

TEST(Operators, ReduceByKeyKeepsTheOrderOfFirstArrival) {
  Program program(
      [](StreamingContext&, DStream<std::string> lines) {
        lines.FlatMap(SplitWords).Map(PairWithOne).ReduceByKey(std::plus<>()).Print(100);
      },
      1);
  EXPECT_EQ(program.Parts({{"b a b"}, {"c a"}}), (std::vector<Rows>{{"(b,2)", "(a,2)", "(c,1)"}}));
}

TEST(Operators, StateIsEmittedForAllKeysAtEveryBatch) {
  for (const uint32_t partitions : {1, 3}) {
    Program program(
        [](StreamingContext&, DStream<std::string> lines) {
          lines.FlatMap(SplitWords)
              .Map(PairWithOne)
              .UpdateStateByKey("totals", [](std::span<const int64_t> values,
                                             std::optional<int64_t> total) {
                for (const int64_t v : values) total = total.value_or(0) + v;
                return total == 3 ? std::nullopt : total;  // three forgets
              })
              .Print(100);
        },
        partitions);
    EXPECT_EQ(program.Sorted({{"a b a"}}), (Rows{"(a,2)", "(b,1)"}));
    EXPECT_EQ(program.Sorted({{}}), (Rows{"(a,2)", "(b,1)"}));
    EXPECT_EQ(program.Sorted({{"a"}}), (Rows{"(b,1)"}));
    EXPECT_EQ(program.Sorted({{"a"}}), (Rows{"(a,1)", "(b,1)"}));
  }
}

TEST(Operators, IdleKeysAreNeitherCalledNorEmittedWhenSkipped) {
  Program program([](StreamingContext&, DStream<std::string> lines) {
    lines.Map(PairWithOne)
        .UpdateStateByKey("calls", [](std::span<const int64_t>, std::optional<int64_t> calls) {
          return std::optional(calls.value_or(0) + 1);
        }, {.idle_keys = IdleKeys::kSkip})
        .Print(100);
  });
  EXPECT_EQ(program.Sorted({{"a", "b", "a"}}), (Rows{"(a,1)", "(b,1)"}));
  EXPECT_EQ(program.Sorted({{"a"}}), Rows{"(a,2)"});
  EXPECT_EQ(program.Sorted({{}}), Rows{});
  EXPECT_EQ(program.Sorted({{"b"}}), Rows{"(b,2)"});
}

TEST(Operators, CountAndReduceOfAnEmptyBatch) {
  Program program([](StreamingContext&, DStream<std::string> lines) {
    lines.Count().Print();
    lines.Map([](std::string_view line) { return line.size(); }).Reduce(std::plus<>()).Print();
  });
  EXPECT_EQ(program.Sorted({{"a", "bb"}, {"ccc"}}, 0), Rows{"3"});
  EXPECT_EQ(program.Sorted({{"a", "bb"}, {"ccc"}}, 1), Rows{"6"});
  EXPECT_EQ(program.Sorted({{}}, 0), Rows{"0"});
  EXPECT_EQ(program.Sorted({{}}, 1), Rows{});
  EXPECT_EQ(program.Sorted({}, 0), Rows{"0"});
}

// They did not compile: what they return was asked for with a view beside the text.
TEST(Operators, GenericFunctionsReduceTexts) {
  Program program(
      [](StreamingContext&, DStream<std::string> lines) {
        const auto join = [](const auto& a, const auto& b) { return a + b; };
        const auto greater = [](auto a, auto b) { return std::max(a, b); };
        const auto keyed =
            lines.Map([](std::string_view line) { return std::pair{int64_t{1}, line}; });
        const WindowOptions window{.length = std::chrono::seconds(2)};
        lines.Reduce(greater).Print();
        keyed.ReduceByKey(join).Print();
        keyed.ReduceByKeyAndWindow(greater, window).Print();
        keyed.ReduceByKeyAndWindow(join, [](auto all, auto) { return all; }, window).Print();
      },
      1);
  const std::vector<Rows> input{{"b", "c"}, {"a"}};
  EXPECT_EQ(program.Sorted(input, 0), Rows{"c"});
  EXPECT_EQ(program.SortedOf(1), Rows{"(1,bca)"});
  EXPECT_EQ(program.Sorted({{"a"}}, 2), Rows{"(1,c)"});
  EXPECT_EQ(program.SortedOf(3), Rows{"(1,bcaa)"});
}

struct Tally {
  std::string name;
  int64_t count;
  int64_t tens() const { return count / 10; }
  std::vector<std::string> twice() const { return {name, name}; }
  Tally Plus(const Tally& other) const { return {name, count + other.count}; }
};

// They were let in and failed inside.
TEST(Operators, PointersToMembersAreFunctions) {
  Program program(
      [](StreamingContext&, DStream<std::string> lines) {
        const auto tallies = lines.Map([](std::string_view line) {
          return Tally{std::string(line), static_cast<int64_t>(line.size()) * 10};
        });
        tallies.SortBy(&Tally::name).Map(&Tally::tens).Print();
        tallies.FlatMap(&Tally::twice).Print();
        tallies.Reduce(&Tally::Plus).Map(&Tally::count).Print();
        lines.Filter(&std::string::empty).Count().Print();
      },
      1);
  EXPECT_EQ(program.Parts({{"bbb", "a"}, {""}}, 0), (std::vector<Rows>{{"0", "1", "3"}}));
  EXPECT_EQ(program.SortedOf(1), (Rows{"", "", "a", "a", "bbb", "bbb"}));
  EXPECT_EQ(program.SortedOf(2), Rows{"40"});
  EXPECT_EQ(program.SortedOf(3), Rows{"1"});
}

TEST(Operators, UnionPutsTheLeftPartitionsFirst) {
  Program program([](StreamingContext&, DStream<std::string> lines) {
    auto upper = lines.Map([](const std::string& line) { return line + "!"; });
    lines.Filter([](std::string_view line) { return line != "x"; }).Union(upper).Print(100);
  });
  EXPECT_EQ(program.Parts({{"x", "y"}, {"z"}}),
            (std::vector<Rows>{{"y"}, {"z"}, {"x!", "y!"}, {"z!"}}));
}

TEST(Operators, GroupByKeyKeepsTheOrderOfValues) {
  Program program([](StreamingContext&, DStream<std::string> lines) {
    lines.Map([](std::string_view line) { return std::pair{line.substr(0, 1), line.substr(1)}; })
        .GroupByKey({.partitions = 1})
        .MapValues([](const std::vector<std::string_view>& values) {
          return std::vector<std::string>(values.begin(), values.end());
        })
        .Print(100);
  });
  EXPECT_EQ(program.Parts({{"a3", "b1"}, {"a1", "a2"}}),
            (std::vector<Rows>{{"(a,[3,1,2])", "(b,[1])"}}));
}

TEST(Operators, RepartitionSpreadsOverExactlyThatManyPartitions) {
  Program program([](StreamingContext&, DStream<std::string> lines) {
    lines.Repartition(3).Print(100);
  });
  EXPECT_EQ(program.Parts({{"a", "b", "c", "d"}}),
            (std::vector<Rows>{{"a", "d"}, {"b"}, {"c"}}));
}

TEST(Operators, CountByValueAndMapPartitions) {
  Program program([](StreamingContext&, DStream<std::string> lines) {
    lines.CountByValue().Print(100);
    lines
        .MapPartitions([](std::span<const std::string> records) {
          return std::vector<int64_t>{static_cast<int64_t>(records.size())};
        })
        .Print(100);
  });
  EXPECT_EQ(program.Sorted({{"a", "b"}, {"a"}}, 0), (Rows{"(a,2)", "(b,1)"}));
  EXPECT_EQ(program.Parts({{"a", "b"}, {}}, 1), (std::vector<Rows>{{"2"}, {"0"}}));
}

TEST(Operators, PrintTakesOneMoreThanItShows) {
  Program program([](StreamingContext&, DStream<std::string> lines) { lines.Print(2); });
  EXPECT_EQ(program.Parts({{"a", "b", "c", "d"}}), (std::vector<Rows>{{"a", "b", "c"}}));
}

TEST(Operators, APersistedStreamIsComputedOnceForAllItsConsumers) {
  static int calls = 0;
  calls = 0;
  Program program([](StreamingContext&, DStream<std::string> lines) {
    const auto marked = lines
                            .Map([](std::string_view line) {
                              ++calls;
                              return std::string(line) + "!";
                            })
                            .Persist();
    marked.Print();
    marked.Count().Print();
  });
  EXPECT_EQ(program.Sorted({{"a", "b"}}, 0), (Rows{"a!", "b!"}));
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace sluice
