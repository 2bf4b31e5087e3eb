#include "tests/sim/progress.h"

#include <gtest/gtest.h>

#include <fstream>

namespace sluice::sim {
namespace {

std::string Path() { return testing::TempDir() + "progress"; }

TEST(ProgressTest, ComesBackAsItWasKept) {
  Progress kept{.build = ThisBuild(), .first = 7, .next = 507, .result = {}};
  kept.result.seeds = 500;
  kept.result.events = 12345;
  kept.result.virtual_s = 2.5;
  kept.result.counters = {{"worker killed", 3}, {"a batch that waits", 9}};
  kept.result.broken = {{41, "state differs: 1 is not 2"}};
  ASSERT_TRUE(KeepProgress(Path(), kept));
  std::string error;
  const std::optional<Progress> found = FindProgress(Path(), &error);
  ASSERT_TRUE(found.has_value()) << error;
  EXPECT_EQ(found->build, kept.build);
  EXPECT_EQ(found->first, 7u);
  EXPECT_EQ(found->next, 507u);
  EXPECT_EQ(found->result.seeds, 500u);
  EXPECT_EQ(found->result.events, 12345u);
  EXPECT_EQ(found->result.virtual_s, 2.5);
  EXPECT_EQ(found->result.counters, kept.result.counters);
  EXPECT_EQ(found->result.broken, kept.result.broken);
}

TEST(ProgressTest, AFileThatWasCutIsRefusedAndNoneIsNoError) {
  std::string error;
  EXPECT_FALSE(FindProgress(testing::TempDir() + "none", &error).has_value());
  EXPECT_EQ(error, "");
  std::ofstream(Path()) << "build 1\nfirst 1\nnext 9\nbroken 4 wor";
  EXPECT_FALSE(FindProgress(Path(), &error).has_value());
  EXPECT_NE(error, "");
}

}  // namespace
}  // namespace sluice::sim
