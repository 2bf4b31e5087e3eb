// What a block of deltas says of its partitions: short, and never too little.
#include "worker/executor/partition_runs.h"

#include <gtest/gtest.h>

#include <random>

#include "common/delta_stream.h"

namespace sluice {
namespace {

using Runs = std::vector<uint32_t>;

proto::BlockInfo BlockOf(const Runs& runs) {
  proto::BlockInfo block;
  *block.mutable_partitions() = {runs.begin(), runs.end()};
  return block;
}

TEST(PartitionRuns, AreTheFirstAndTheLastOfEach) {
  EXPECT_EQ(RunsOf({}), Runs());
  EXPECT_EQ(RunsOf({7}), (Runs{7, 7}));
  EXPECT_EQ(RunsOf({0, 1, 2, 5, 6, 9}), (Runs{0, 2, 5, 6, 9, 9}));
}

TEST(PartitionRuns, TheNarrowestGapsAreTakenInWhereThereAreTooMany) {
  // Twenty with a gap of one between them, and two far from these.
  std::set<uint32_t> partitions = {500, 900};
  for (uint32_t p = 0; p < 40; p += 2) partitions.insert(p);
  const Runs runs = RunsOf(partitions);
  EXPECT_EQ(runs.size(), 2 * kPartitionRunsMax);
  EXPECT_FALSE(MayHave(BlockOf(runs), {100, 499, 501, 899}));
  for (const uint32_t p : partitions) EXPECT_TRUE(MayHave(BlockOf(runs), {p})) << p;
}

TEST(PartitionRuns, NameAllOfAny) {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    std::set<uint32_t> partitions;
    for (uint32_t i = 0; i <= random() % 40; ++i) partitions.insert(random() % 100);
    const Runs runs = RunsOf(partitions);
    ASSERT_LE(runs.size(), 2 * kPartitionRunsMax);
    ASSERT_TRUE(std::is_sorted(runs.begin(), runs.end()));
    for (const uint32_t p : partitions) ASSERT_TRUE(MayHave(BlockOf(runs), {p})) << p;
  }
}

TEST(PartitionRuns, ABlockThatDoesNotSayMayHaveAny) {
  EXPECT_TRUE(MayHave(proto::BlockInfo(), {3}));
  EXPECT_FALSE(MayHave(BlockOf({3, 3}), {}));
  EXPECT_FALSE(MayHave(BlockOf({0, 2, 4, 9}), {3, 10}));
  EXPECT_TRUE(MayHave(BlockOf({0, 2, 4, 9}), {3, 9}));
}

}  // namespace
}  // namespace sluice
