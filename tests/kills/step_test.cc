#include "tests/kills/step.h"

#include "gtest/gtest.h"

namespace sluice::kills {
namespace {

class StepTest : public testing::Test {
 protected:
  StepTest() {
    log_.epoch = 1;
    sight_.granted = {1, 3};
    sight_.of_maps = {0};
    Plan(100);
    Decide(100, {1, 3});
    Publish(100, 2);
  }

  void Plan(int64_t batch_ms) { log_.planned[batch_ms].set_batch_ms(batch_ms); }
  void Decide(int64_t batch_ms, GenerationKey generation) {
    proto::Decided& batch = log_.decided[batch_ms];
    for (uint32_t id = 0; id < 2; ++id) {
      auto& output = *batch.add_outputs();
      output.set_output(id);
      output.set_has_dataset(true);
    }
    log_.decided_in = generation;
  }
  void Publish(int64_t batch_ms, uint32_t outputs) {
    for (uint32_t id = 0; id < outputs; ++id) log_.published[batch_ms].insert(id);
  }
  std::string Seen() const { return std::string(NameOf(StepOf(log_, sight_))); }

  JobLog log_;
  Sight sight_;
};

TEST_F(StepTest, TheLifeOfABatch) {
  EXPECT_EQ(Seen(), "receiving");
  log_.waiting.insert({1, 7, 1});
  EXPECT_EQ(Seen(), "sealed");
  Plan(200);
  EXPECT_EQ(Seen(), "planned");
  EXPECT_EQ(FirstUndecided(log_), 200);
  sight_.staged = {0};
  EXPECT_EQ(Seen(), "mapping");
  sight_.staged = {0, 1};
  EXPECT_EQ(Seen(), "reducing");
  Decide(200, {1, 3});
  sight_.staged = {};
  EXPECT_EQ(Seen(), "decided");
  Publish(200, 1);
  EXPECT_EQ(Seen(), "publishing");
  Publish(200, 2);
  log_.waiting.clear();
  EXPECT_EQ(Seen(), "receiving");
}

TEST_F(StepTest, ACheckpointIsUnderWayUntilItIsSealed) {
  log_.sealed_ms = 100;
  sight_.newest_part_ms = 100;
  EXPECT_EQ(Seen(), "receiving");
  sight_.newest_part_ms = 200;
  EXPECT_EQ(Seen(), "checkpointing");
  log_.sealed_ms = 200;
  EXPECT_EQ(Seen(), "receiving");
}

TEST_F(StepTest, ALossLastsUntilANewGenerationHasDecidedABatch) {
  sight_.lost_in = {1, 3};
  EXPECT_EQ(Seen(), "lost");
  sight_.granted = {1, 4};
  EXPECT_EQ(Seen(), "granted");
  EXPECT_FALSE(Answered(log_, sight_));
  Plan(200);
  Decide(200, {1, 4});
  EXPECT_EQ(Seen(), "decided");
  EXPECT_TRUE(Answered(log_, sight_));
}

TEST_F(StepTest, AnEpochWithoutAGenerationIsALoss) {
  log_.epoch = 2;
  EXPECT_EQ(Seen(), "lost");
  sight_.granted = {2, 1};
  EXPECT_EQ(Seen(), "granted");
}

}  // namespace
}  // namespace sluice::kills
