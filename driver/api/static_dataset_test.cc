#include "driver/api/static_dataset.h"

#include "driver/api/scripted_program.h"

namespace sluice {
namespace {

using Prices = std::vector<std::pair<std::string, int64_t>>;

std::string VersionAt(int64_t batch_ms) { return batch_ms < 3000 ? "old" : "new"; }
Prices LoadPrices(const std::string& version) {
  if (version == "old") return {{"tea", 3}, {"milk", 1}, {"tea", 4}};
  return {{"tea", 5}};
}

void Build(StreamingContext& ssc, DStream<std::string> lines) {
  const auto prices =
      ssc.StaticDataset<std::string, int64_t>("prices", VersionAt, LoadPrices);
  const auto orders = lines.Map([](std::string_view item) { return std::pair{item, 'x'}; })
                          .MapValues([](char) { return int64_t{1}; });
  orders.Join(prices).Print();
  orders.LeftOuterJoin(prices).Print();
}

TEST(StaticDatasetTest, JoinsWithTheVersionOfTheBatch) {
  ScriptedProgram program(Build);
  EXPECT_EQ(program.Parts({{"tea", "oil"}, {"milk"}}),
            (std::vector<Rows>{{"(tea,(1,3))", "(tea,(1,4))"}, {"(milk,(1,1))"}}));
  EXPECT_EQ(program.Parts({{"tea", "oil"}}, 1),
            (std::vector<Rows>{{"(tea,(1,Some(3)))", "(tea,(1,Some(4)))", "(oil,(1,None))"}}));
  EXPECT_EQ(program.Parts({{"tea", "milk"}}), (std::vector<Rows>{{"(tea,(1,5))"}}));
}

// Rows of short keys are looked up some dozen at a time, also what is left of the last dozen, and
// in a table that is larger than one whose look-ups go one by one.
TEST(StaticDatasetTest, ManyRowsKeepTheirOrderWithAndWithoutAMatch) {
  ScriptedProgram program([](StreamingContext& ssc, DStream<std::string> lines) {
    const auto dataset = ssc.StaticDataset<int64_t, int64_t>(
        "squares", [](int64_t) { return std::string("1"); }, [](const std::string&) {
          std::vector<std::pair<int64_t, int64_t>> squares;
          for (int64_t n = 0; n < 10'000; n += 2) squares.emplace_back(n, n * n);
          squares.emplace_back(4, -4);
          return squares;
        });
    const auto numbers =
        lines.Map([](const std::string& line) { return std::pair{int64_t{std::stoi(line)}, 'n'}; });
    numbers.Join(dataset).Print(1'000);
    numbers.LeftOuterJoin(dataset).Print(1'000);
  });
  std::vector<std::string> lines;
  Rows joined, outer;
  for (int n = 0; n < 200; ++n) {
    lines.push_back(std::to_string(n));
    const std::string row = "(" + lines.back() + ",(n,";
    const std::string square = std::to_string(n * n);
    if (n % 2 == 0) joined.push_back(row + square + "))");
    outer.push_back(row + (n % 2 == 0 ? "Some(" + square + ")))" : "None))"));
    if (n == 4) joined.push_back(row + "-4))"), outer.push_back(row + "Some(-4)))");
  }
  EXPECT_EQ(program.Parts({lines}), (std::vector<Rows>{joined}));
  EXPECT_EQ(program.Parts({lines}, 1), (std::vector<Rows>{outer}));
}

TEST(StaticDatasetTest, AVersionIsLoadedOnceWhileItIsInUse) {
  int loads = 0;
  const auto tables = internal::MakeStaticTables(
      [&](const std::string&, internal::StaticTable&) { ++loads; });
  for (const char* version : {"1", "1", "2", "1", "3", "1"}) TableOf(*tables, version);
  EXPECT_EQ(loads, 3);
  TableOf(*tables, "4");  // the oldest goes
  TableOf(*tables, "1");
  EXPECT_EQ(loads, 5);
}

TEST(StaticDatasetTest, WhatLoadingThrowsFailsTheTaskAndIsTriedAgain) {
  bool there = false;
  const auto tables =
      internal::MakeStaticTables([&](const std::string&, internal::StaticTable& table) {
        if (!there) throw std::runtime_error("no such file");
        table.Add("key", "value");
      });
  EXPECT_THROW(TableOf(*tables, "1"), std::runtime_error);
  there = true;
  EXPECT_NE(TableOf(*tables, "1"), nullptr);
}

}  // namespace
}  // namespace sluice
