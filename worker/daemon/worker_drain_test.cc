// A worker core that drains.
#include "worker/daemon/worker_core_fixture.h"

namespace sluice::core_test {
namespace {

TEST_F(WorkerCoreTest, DrainingHandsSoleCopiesToAPeerAndExits) {
  Session(1, {{"w1", "h1"}});
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Verdict(1);
  Session(1, kThree);
  Done();
  Step(worker::DrainRequested{now_ + 30'000 * kMs});
  EXPECT_EQ(Done(), (Words{"end 1"}));
  Session(1, kFirstDrains);
  Done();
  StartExecutor(5, "tasks");
  EXPECT_EQ(Done()[0], "exited: the worker is draining");
  Step(worker::ProcessReaped{{kJob, 1, 1}, "exit 0", false, {}, {}});
  After(20);
  EXPECT_EQ(Done().back(), "copy 1 to w3:1");
  Copied("w3", 1);
  EXPECT_EQ(Done().back(), "announce 1 w1 w3 to jd:1");
  After(40);
  for (const auto& word : Done()) EXPECT_FALSE(word.starts_with("exit ")) << word;
  Verdict(1);
  After(20);
  EXPECT_EQ(Done().back(), "exit 0");
}

// Each counted on the copy of the other, and both ended well.
TEST_F(WorkerCoreTest, OfTwoThatDrainNoneCountsOnTheOther) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Copied("w3", 1);
  Verdict(1);
  Step(worker::DrainRequested{now_ + 30'000 * kMs});
  Step(worker::ProcessReaped{{kJob, 1, 1}, "exit 0", false, {}, {}});
  Done();
  After(100);
  EXPECT_EQ(Done(), Words{});  // it does not know yet who else is on its way out
  Session(1, kTwoDrain);
  After(20);
  EXPECT_EQ(Done().back(), "copy 1 to w2:1");
  Copied("w2", 1);
  Verdict(1);
  After(20);
  EXPECT_EQ(Done().back(), "exit 0");
}

// It was listed at the address from which the copy had come.
TEST_F(WorkerCoreTest, ADrainCountsOnNoPeerThatWasStartedAnew) {
  Session(1, kThree);
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(1));
  info.set_reliable(true);
  Step(worker::CopyStored{"w3:1", 1, info, true, ""});
  Step(worker::DrainRequested{now_ + 30'000 * kMs});
  Session(1, {{"w1", "h1", 1, true}, {"w2", "h1"}, {"w3", "h3", /*incarnation=*/2}});
  After(20);
  EXPECT_EQ(Done().back(), "copy 1 to w3:1");
}

// It was listed before the disk had what its former life had sent.
TEST_F(WorkerCoreTest, ADrainCountsOnNoPeerThatWasStartedAnewWhileItsCopyCame) {
  Session(1, {{"w1", "h1", 1, true}, {"w2", "h1"}, {"w3", "h3", /*incarnation=*/2}});
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(1));
  info.set_reliable(true);
  Step(worker::CopyStored{"w3:1", 1, info, true, ""});
  Step(worker::DrainRequested{now_ + 30'000 * kMs});
  After(20);
  EXPECT_EQ(Done().back(), "copy 1 to w3:1");
}

TEST_F(WorkerCoreTest, ADrainCountsOnNoWordFromUnderAFormerJobDriver) {
  Session(1, kFirstDrains);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Copied("w3", 1);
  Verdict(1);
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(2));
  info.set_reliable(true);
  Step(worker::CopyStored{"w3:1", 1, info, true, ""});
  Session(2, kFirstDrains);
  Step(worker::DrainRequested{now_ + 30'000 * kMs});
  Step(worker::ProcessReaped{{kJob, 1, 1}, "exit 0", false, {}, {}});
  Done();
  After(20);
  EXPECT_EQ(Done(), (Words{"copy 1 to w3:1", "copy 2 to w3:1"}));
}

TEST_F(WorkerCoreTest, ADrainCountsOnNoCopyThatWasFoundDamaged) {
  Session(1, kFirstDrains);
  RunExecutor(1, "tasks");
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(1));
  info.set_reliable(true);
  Step(worker::CopyStored{"w3:1", 1, info, true, ""});
  Copied("w3", 1, /*ok=*/false);
  Step(worker::DrainRequested{now_ + 30'000 * kMs});
  After(20);
  EXPECT_EQ(Done().back(), "copy 1 to w3:1");
}

TEST_F(WorkerCoreTest, ACopyFromAPeerThatDrainsAsWellIsHandedOn) {
  Session(1, kThree);
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(1));
  Step(worker::CopyStored{"w3:1", 1, info, true, ""});
  Step(worker::DrainRequested{now_ + 30'000 * kMs});
  Session(1, kTwoDrain);
  After(20);
  EXPECT_EQ(Done().back(), "copy 1 to w2:1");
  Copied("w2", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w2 to jd:1"}));
  Verdict(1);
  After(20);
  EXPECT_EQ(Done().back(), "exit 0");
}

// Its memory had been full for a moment, and the block was lost with the worker.
TEST_F(WorkerCoreTest, APeerThatTookNoCopyIsAskedAgainInADrain) {
  Session(1, {{"w1", "h1"}});
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Verdict(1);
  Step(worker::DrainRequested{now_ + 30'000 * kMs});
  Step(worker::ProcessReaped{{kJob, 1, 1}, "exit 0", false, {}, {}});
  Session(1, {{"w1", "h1", 1, true}, {"w3", "h3"}});
  After(20);
  Done();
  for (int i = 0; i < 3; ++i) {
    Copied("w3", 1, /*ok=*/false);
    After(40);
    EXPECT_EQ(Done(), Words{});  // not at once
    After(600);
    const Words done = Done();
    EXPECT_EQ(std::count(done.begin(), done.end(), "copy 1 to w3:1"), 1);
  }
  Copied("w3", 1);
  Verdict(1);
  After(20);
  EXPECT_EQ(Done().back(), "exit 0");
}

TEST_F(WorkerCoreTest, WhereTheOnlyPeerDrainsAsWellADrainIsNoCleanEnd) {
  Session(1, {{"w1", "h1"}, {"w3", "h3"}});
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Copied("w3", 1);
  Verdict(1);
  Step(worker::DrainRequested{now_ + 300 * kMs});
  Step(worker::ProcessReaped{{kJob, 1, 1}, "exit 0", false, {}, {}});
  Session(1, {{"w1", "h1", 1, true}, {"w3", "h3", 1, true}});
  Done();
  After(100);
  EXPECT_EQ(Done(), Words{});  // somebody may yet come
  After(300);
  EXPECT_EQ(Done().back(), "exit 5");
  EXPECT_EQ(core_.blocks().SoleCopies(), 1u);
}

// A beat behind it would say that it is still draining, and the end of its links that it is lost.
TEST_F(WorkerCoreTest, BehindItsLastWordADrainedWorkerSaysNothing) {
  After(20);
  Receive("driver:1", [](proto::Envelope& e) { e.mutable_worker_registered(); });
  Step(worker::DrainRequested{now_ + 30'000 * kMs});
  After(20);
  EXPECT_EQ(Done().back(), "exit 0");
  After(2'000);
  EXPECT_TRUE(done_.empty());
}

TEST_F(WorkerCoreTest, DrainingWithASoleCopyAndNoPeerIsNoCleanEnd) {
  Session(1, {{"w1", "h1"}});
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Verdict(1);
  Done();
  Step(worker::DrainRequested{now_ + 100 * kMs});
  Step(worker::ProcessReaped{{kJob, 1, 1}, "exit 0", false, {}, {}});
  Done();
  After(20);
  EXPECT_EQ(Done(), Words{});  // somebody may yet come
  After(200);
  EXPECT_EQ(Done().back(), "exit 5");
}

TEST_F(WorkerCoreTest, DrainingEndsAtItsDeadline) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Step(worker::DrainRequested{now_ + 100 * kMs});
  Done();
  After(200);
  const Words done = Done();
  EXPECT_EQ(std::count(done.begin(), done.end(), "exit 5"), 1);
}

}  // namespace
}  // namespace sluice::core_test
