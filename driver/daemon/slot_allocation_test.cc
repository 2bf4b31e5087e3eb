#include "driver/daemon/slot_allocation.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using Held = std::map<std::string, uint32_t>;

TEST(SlotAllocation, TheFirstJobTakesAllAndGivesTheSecondItsShareOfEachWorker) {
  const Held workers = {{"w1", 2}, {"w2", 3}};
  std::vector<SlotClaim> claims = {{"a", 0, {}}};
  EXPECT_TRUE(AllocateSlots(workers, &claims));
  EXPECT_EQ(claims[0].held, workers);
  claims.push_back({"b", 0, {}});
  EXPECT_TRUE(AllocateSlots(workers, &claims));
  EXPECT_EQ(claims[0].held, (Held{{"w1", 1}, {"w2", 2}}));
  EXPECT_EQ(claims[1].held, (Held{{"w1", 1}, {"w2", 1}}));
  EXPECT_FALSE(AllocateSlots(workers, &claims));  // and there it rests
  claims.erase(claims.begin());
  EXPECT_TRUE(AllocateSlots(workers, &claims));
  EXPECT_EQ(claims[0].held, workers);
}

TEST(SlotAllocation, WithMoreJobsThanSlotsTheLatestWait) {
  std::vector<SlotClaim> claims = {{"a", 0, {{"w1", 2}}}, {"b", 0, {}}, {"c", 0, {}}};
  EXPECT_TRUE(AllocateSlots({{"w1", 2}}, &claims));
  EXPECT_EQ(claims[0].held["w1"], 1u);
  EXPECT_EQ(claims[1].held["w1"], 1u);
  EXPECT_TRUE(claims[2].held.empty());
  EXPECT_FALSE(AllocateSlots({{"w1", 2}}, &claims));
}

TEST(SlotAllocation, WhoAskedForABoundKeepsWhatIsWithinIt) {
  std::vector<SlotClaim> claims = {{"a", 3, {{"w1", 3}}}, {"b", 0, {{"w1", 1}}}, {"c", 0, {}}};
  EXPECT_FALSE(AllocateSlots({{"w1", 4}}, &claims));
  EXPECT_TRUE(claims[2].held.empty());
}

// A daemon that returns hears of the workers one by one.
TEST(SlotAllocation, NobodyGivesBackBeforeAllWorkersMayBeKnown) {
  std::vector<SlotClaim> claims = {{"a", 0, {{"w1", 2}}}, {"b", 0, {{"w2", 2}}}};
  EXPECT_FALSE(AllocateSlots({{"w1", 2}}, &claims, /*share=*/false));
  EXPECT_TRUE(AllocateSlots({{"w1", 2}}, &claims));  // its worker stays away
  EXPECT_EQ(claims[1].held, (Held{{"w1", 1}, {"w2", 2}}));
}

TEST(SlotAllocation, AWholeWorkerOfOneSlotChangesHands) {
  std::vector<SlotClaim> claims = {{"a", 0, {{"w1", 1}, {"w2", 1}}}, {"b", 0, {}}};
  EXPECT_TRUE(AllocateSlots({{"w1", 1}, {"w2", 1}}, &claims));
  EXPECT_EQ(claims[0].held, (Held{{"w1", 0}, {"w2", 1}}));
  EXPECT_EQ(claims[1].held, (Held{{"w1", 1}}));
}

TEST(SlotAllocation, ALimitedJobSpreadsAndLeavesTheRest) {
  std::vector<SlotClaim> claims = {{"a", 2, {}}, {"b", 0, {}}};
  AllocateSlots({{"w1", 2}, {"w2", 2}}, &claims);
  EXPECT_EQ(claims[0].held, (Held{{"w1", 1}, {"w2", 1}}));
  EXPECT_EQ(claims[1].held, (Held{{"w1", 1}, {"w2", 1}}));
}

TEST(SlotAllocation, AWorkerThatComesBackStillBelongsToItsJob) {
  std::vector<SlotClaim> claims = {{"a", 0, {{"w1", 1}, {"w2", 1}}}, {"b", 0, {{"w1", 1}}}};
  EXPECT_FALSE(AllocateSlots({{"w1", 2}}, &claims));
  EXPECT_TRUE(AllocateSlots({{"w1", 2}, {"w2", 2}}, &claims));
  EXPECT_EQ(claims[0].held, (Held{{"w1", 1}, {"w2", 2}}));  // its own, and what was free
}

TEST(SlotAllocation, ALimitedJobReplacesWhatIsAway) {
  std::vector<SlotClaim> claims = {{"a", 2, {{"w1", 1}, {"w2", 1}}}};
  EXPECT_TRUE(AllocateSlots({{"w1", 2}}, &claims));
  EXPECT_EQ(claims[0].held["w1"], 2u);
  EXPECT_TRUE(AllocateSlots({{"w1", 2}, {"w2", 2}}, &claims));
  EXPECT_EQ(claims[0].held, (Held{{"w1", 1}, {"w2", 1}}));
}

TEST(SlotAllocation, TheLatestGivesWayWhenAWorkerShrinks) {
  std::vector<SlotClaim> claims = {{"a", 1, {{"w1", 1}}}, {"b", 0, {{"w1", 3}}}};
  EXPECT_TRUE(AllocateSlots({{"w1", 2}}, &claims));
  EXPECT_EQ(claims[0].held, (Held{{"w1", 1}}));
  EXPECT_EQ(claims[1].held, (Held{{"w1", 1}}));
}

}  // namespace
}  // namespace sluice
