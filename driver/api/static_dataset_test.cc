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

TEST(StaticDatasetTest, AVersionIsLoadedOnceWhileItIsInUse) {
  int loads = 0;
  internal::StaticTables tables([&](const std::string&) {
    ++loads;
    return std::make_shared<const internal::StaticTable>();
  });
  for (const char* version : {"1", "1", "2", "1", "3", "1"}) tables.Of(version);
  EXPECT_EQ(loads, 3);
  tables.Of("4");  // the oldest goes
  tables.Of("1");
  EXPECT_EQ(loads, 5);
}

TEST(StaticDatasetTest, WhatLoadingThrowsFailsTheTaskAndIsTriedAgain) {
  bool there = false;
  internal::StaticTables tables([&](const std::string&) {
    if (!there) throw std::runtime_error("no such file");
    return std::make_shared<const internal::StaticTable>();
  });
  EXPECT_THROW(tables.Of("1"), std::runtime_error);
  there = true;
  EXPECT_NE(tables.Of("1"), nullptr);
}

}  // namespace
}  // namespace sluice
