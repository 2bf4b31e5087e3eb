#include "driver/daemon/slot_allocation.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using Held = std::map<std::string, uint32_t>;

TEST(SlotAllocation, TheFirstJobTakesAllAndTheSecondWaits) {
  std::vector<SlotClaim> claims = {{"a", 0, {}}, {"b", 0, {}}};
  EXPECT_TRUE(AllocateSlots({{"w1", 2}, {"w2", 3}}, &claims));
  EXPECT_EQ(claims[0].held, (Held{{"w1", 2}, {"w2", 3}}));
  EXPECT_TRUE(claims[1].held.empty());
  EXPECT_FALSE(AllocateSlots({{"w1", 2}, {"w2", 3}}, &claims));
}

TEST(SlotAllocation, ALimitedJobSpreadsAndLeavesTheRest) {
  std::vector<SlotClaim> claims = {{"a", 2, {}}, {"b", 0, {}}};
  AllocateSlots({{"w1", 2}, {"w2", 2}}, &claims);
  EXPECT_EQ(claims[0].held, (Held{{"w1", 1}, {"w2", 1}}));
  EXPECT_EQ(claims[1].held, (Held{{"w1", 1}, {"w2", 1}}));
}

TEST(SlotAllocation, AWorkerThatComesBackStillBelongsToItsJob) {
  std::vector<SlotClaim> claims = {{"a", 0, {{"w1", 2}, {"w2", 2}}}, {"b", 0, {}}};
  EXPECT_FALSE(AllocateSlots({{"w1", 2}}, &claims));
  EXPECT_FALSE(AllocateSlots({{"w1", 2}, {"w2", 2}}, &claims));
  EXPECT_TRUE(claims[1].held.empty());
}

TEST(SlotAllocation, ALimitedJobReplacesWhatIsAway) {
  std::vector<SlotClaim> claims = {{"a", 2, {{"w1", 1}, {"w2", 1}}}};
  EXPECT_TRUE(AllocateSlots({{"w1", 2}}, &claims));
  EXPECT_EQ(claims[0].held["w1"], 2u);
}

TEST(SlotAllocation, TheLatestGivesWayWhenAWorkerShrinks) {
  std::vector<SlotClaim> claims = {{"a", 1, {{"w1", 1}}}, {"b", 0, {{"w1", 3}}}};
  EXPECT_TRUE(AllocateSlots({{"w1", 2}}, &claims));
  EXPECT_EQ(claims[0].held, (Held{{"w1", 1}}));
  EXPECT_EQ(claims[1].held, (Held{{"w1", 1}}));
}

}  // namespace
}  // namespace sluice
