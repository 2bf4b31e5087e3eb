#include "worker/executor/bad_search.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <vector>

namespace sluice {
namespace {

// Items that fail alone, and pairs that fail in this order.
struct Table {
  std::set<uint64_t> alone;
  std::optional<std::pair<uint64_t, uint64_t>> together;
  uint64_t run = 0;  // items, in all probes

  Probe probe() {
    return [this](std::span<const uint64_t> items) -> std::optional<BadItem> {
      run += items.size();
      bool first = false;
      for (const uint64_t item : items) {
        if (alone.contains(item)) return BadItem{"Map", std::to_string(item)};
        if (together.has_value() && item == together->first) first = true;
        if (together.has_value() && item == together->second && first) return BadItem{"", "both"};
      }
      return std::nullopt;
    };
  }
};

std::vector<uint64_t> UpTo(uint64_t count) {
  std::vector<uint64_t> items(count);
  std::iota(items.begin(), items.end(), 0);
  return items;
}

TEST(BadSearchTest, FindsEachItemThatFailsAloneWithItsOwnError) {
  Table table{{0, 5, 6, 999}, {}};
  const auto found = FailingAlone(UpTo(1000), table.probe());
  ASSERT_EQ(found.size(), 4u);
  for (const auto& [item, bad] : found) EXPECT_EQ(bad.error, std::to_string(item));
  EXPECT_LE(table.run, 1000u * 5);
}

TEST(BadSearchTest, OneOfManyCostsAboutThreeRuns) {
  Table table{{7'777}, {}};
  EXPECT_EQ(FailingAlone(UpTo(10'000), table.probe()).size(), 1u);
  EXPECT_LE(table.run, 30'100u);
}

TEST(BadSearchTest, ARunThatFailsWithoutAnyItemIsNoItemsFault) {
  const Probe always = [](std::span<const uint64_t>) { return BadItem{"", "always"}; };
  EXPECT_TRUE(FailingAlone(UpTo(8), always).empty());
  EXPECT_FALSE(LastOfShortestFailing(UpTo(8), always).has_value());
}

TEST(BadSearchTest, OfItemsThatFailTogetherTheOneThatCompletesThemIsFound) {
  Table table{{}, {{3, 70}}};
  EXPECT_TRUE(FailingAlone(UpTo(100), table.probe()).empty());
  const auto found = LastOfShortestFailing(UpTo(100), table.probe());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->first, 70u);
  EXPECT_EQ(found->second.error, "both");
}

TEST(BadSearchTest, NothingIsFoundWhereNothingFailsAnyMore) {
  Table table;
  EXPECT_FALSE(LastOfShortestFailing(UpTo(5), table.probe()).has_value());
  EXPECT_TRUE(FailingAlone({}, table.probe()).empty());
}

}  // namespace
}  // namespace sluice
