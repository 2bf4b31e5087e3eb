#include "driver/job/received_collection.h"

#include "checkpoint/received_objects.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr uint64_t kJob = 77;

ObjectInfo Object(uint64_t incarnation, uint64_t number, uint64_t job = kJob) {
  return {ObjectOf({job, 1, incarnation, number}), 10};
}

proto::DriverState Oldest() {
  proto::DriverState state;
  state.mutable_job()->set_job_instance(kJob);
  auto& position = *state.add_incarnations();
  position.set_stream(1);
  position.set_incarnation(5);
  position.set_number(4);
  auto& name = *state.add_blocks()->mutable_block()->mutable_name();
  name.set_job_instance(kJob);
  name.set_stream(1);
  name.set_incarnation(5);
  name.set_number(3);
  return state;
}

TEST(ReceivedCollection, ABlockThatTheOldestCheckpointHasDoneWithGoes) {
  const auto got = CollectReceived({Object(5, 2), Object(5, 4)}, Oldest());
  EXPECT_EQ(got.needless, (std::vector<std::string>{Object(5, 2).name, Object(5, 4).name}));
  EXPECT_TRUE(got.unknown.empty());
}

TEST(ReceivedCollection, ABlockThatItStillHasStays) {
  const auto got = CollectReceived({Object(5, 3)}, Oldest());
  EXPECT_TRUE(got.needless.empty());
  EXPECT_TRUE(got.unknown.empty());
}

TEST(ReceivedCollection, ABlockThatCameLaterStaysAndItsReceiverIsNamed) {
  const auto got = CollectReceived({Object(5, 5), Object(9, 1)}, Oldest());
  EXPECT_TRUE(got.needless.empty());
  EXPECT_EQ(got.unknown, (std::set<std::pair<uint32_t, uint64_t>>{{1, 5}, {1, 9}}));
}

TEST(ReceivedCollection, WhatAForgottenReceiverLeftGoesUnlessItsBlockWasAdded) {
  proto::DriverState oldest = Oldest();
  oldest.mutable_incarnations(0)->set_forgotten(true);
  const auto got = CollectReceived({Object(5, 3), Object(5, 5)}, oldest);
  EXPECT_EQ(got.needless, (std::vector<std::string>{Object(5, 5).name}));
}

TEST(ReceivedCollection, WhatIsNoBlockOfThisJobIsLeftAlone) {
  const auto got = CollectReceived({{"received/readme", 3}, Object(5, 1, kJob + 1)}, Oldest());
  EXPECT_TRUE(got.needless.empty());
  EXPECT_TRUE(got.unknown.empty());
}

}  // namespace
}  // namespace sluice
