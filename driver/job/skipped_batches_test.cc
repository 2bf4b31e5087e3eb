// What on_batch_failure=skip keeps of a batch, in the job driver's core.
#include "driver/job/job_driver_core_fixture.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

JobDriverOptions Skipping() {
  JobDriverOptions options;
  options.skip_failed_batches = true;
  options.objects = "/store/objects";
  return options;
}

// One block of ten records, in a batch that fails.
class SkippedBatchTest : public testing::Test {
 protected:
  explicit SkippedBatchTest() : cluster_(2, {}, Skipping()) {
    cluster_.Announce();
    cluster_.poisoned = true;
    cluster_.PushBlock(9, 1, 1, 10, "w0", "w1");
  }
  const JobState& state() { return cluster_.core().state(); }
  bool Skipped() {
    return cluster_.RunUntil([&] { return state().failed_batches() > 0; });
  }
  const proto::Skipped* InLog() {
    for (const proto::Entry& entry : cluster_.log) {
      if (entry.has_skipped()) return &entry.skipped();
    }
    return nullptr;
  }
  std::string ListText() { return cluster_.objects[InLog()->kept()]; }

  Cluster cluster_;
};

TEST_F(SkippedBatchTest, IsSkippedOnlyWhenItsBlocksAndTheirListAreInTheStore) {
  cluster_.hold_objects = true;
  ASSERT_TRUE(cluster_.RunUntil([&] { return !cluster_.puts.empty(); }));
  EXPECT_EQ(cluster_.puts[0].bytes, kBlockBytes);
  const std::string object = cluster_.puts[0].name;
  const size_t generations = cluster_.grants.size();
  cluster_.RunUntil([] { return false; }, 50);
  EXPECT_EQ(cluster_.puts.size(), 1u);  // one thing at a time
  EXPECT_EQ(cluster_.grants.size(), generations);
  cluster_.PutObjects();
  EXPECT_EQ(InLog(), nullptr);  // the list is still on its way
  cluster_.hold_objects = false;
  cluster_.PutObjects();
  ASSERT_TRUE(Skipped());
  ASSERT_NE(InLog(), nullptr);
  EXPECT_NE(ListText().find(object), std::string::npos) << ListText();
  EXPECT_NE(ListText().find("a bad record"), std::string::npos) << ListText();
  ASSERT_TRUE(cluster_.RunUntil(
      [&] { return state().last_decided_ms() >= InLog()->batch_ms(); }));
  EXPECT_EQ(state().records_total(), 0u);
  EXPECT_EQ(cluster_.core().Status().kept_batches(), 1u);
  EXPECT_EQ(cluster_.core().Status().kept_at(), "/store/objects/kept/");
}

// A driver that woke behind its successor put a list of what only it had planned; the successor
// found one of that name and took it for its own (the simulator, one seed in 20,000).
TEST_F(SkippedBatchTest, NothingIsKeptOfABatchWhosePlanIsNotInTheLog) {
  ASSERT_TRUE(cluster_.RunUntil([&] { return !cluster_.verdicts.empty(); }));
  cluster_.hold_log = true;
  cluster_.hold_objects = true;
  ASSERT_TRUE(cluster_.RunUntil([&] { return !cluster_.batch_grants.empty(); }));
  cluster_.RunUntil([] { return false; }, 50);
  EXPECT_FALSE(state().planned().empty());
  EXPECT_TRUE(cluster_.puts.empty());
  cluster_.hold_log = false;
  cluster_.hold_objects = false;
  cluster_.MakeDurable();
  EXPECT_TRUE(Skipped());
}

TEST_F(SkippedBatchTest, AHolderThatDoesNotAnswerIsPassedOver) {
  cluster_.mute = {"w0"};
  EXPECT_TRUE(Skipped());
}

TEST_F(SkippedBatchTest, ADamagedCopyIsNotKept) {
  cluster_.spoiled = {"w0"};
  ASSERT_TRUE(Skipped());
  for (const auto& [name, bytes] : cluster_.objects) {
    EXPECT_TRUE(name == InLog()->kept() || bytes == kBlockBytes) << name;
  }
}

TEST_F(SkippedBatchTest, ABlockThatNoHolderCanReadIsALossThatMayBeAccepted) {
  cluster_.spoiled = {"w0", "w1"};
  ASSERT_TRUE(cluster_.RunUntil([&] {
    return cluster_.core().Status().failure().find("1 received blocks are lost") == 0;
  }, 2000));
  EXPECT_EQ(InLog(), nullptr);
  proto::Envelope accept;
  accept.mutable_accept_loss();
  cluster_.Deliver("daemon", accept);
  ASSERT_TRUE(Skipped());
  EXPECT_NE(ListText().find("lost: true"), std::string::npos) << ListText();
}

TEST_F(SkippedBatchTest, AStoreThatIsFullIsTriedAgainAndNothingIsSkippedMeanwhile) {
  cluster_.objects_error = "no space";
  ASSERT_FALSE(Skipped());
  EXPECT_TRUE(cluster_.objects.empty());
  cluster_.objects_error.clear();
  cluster_.RunUntil([&] { return state().failed_batches() > 0; }, 2000);
  EXPECT_EQ(cluster_.objects.size(), 2u);
}

TEST_F(SkippedBatchTest, ARelaunchedDriverKeepsTheSameObjectsAgain) {
  cluster_.hold_objects = true;
  ASSERT_TRUE(cluster_.RunUntil([&] { return !cluster_.puts.empty(); }));
  RecoveredJob recovered;
  for (const auto& entry : cluster_.log) ASSERT_TRUE(recovered.state.Apply(entry).ok());
  recovered.next_slot = 100;
  Cluster second(2, recovered, Skipping());
  second.Announce();
  second.poisoned = true;
  second.PushBlock(9, 1, 1, 10, "w0", "w1");
  ASSERT_TRUE(second.RunUntil([&] { return second.core().state().failed_batches() > 0; }));
  EXPECT_EQ(second.objects.count(cluster_.puts[0].name), 1u);
  EXPECT_EQ(second.objects.size(), 2u);
}

// The count outlives the slots of the log that said so.
TEST_F(SkippedBatchTest, TheCountOfKeptBatchesIsInTheManifest) {
  ASSERT_TRUE(Skipped());
  JobState restored;
  restored.Restore(state().Keep(1));
  EXPECT_EQ(restored.kept_batches(), 1u);
}

}  // namespace
}  // namespace sluice
