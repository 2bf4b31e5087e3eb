// The life of blocks in the worker core.
#include "worker/daemon/worker_core_fixture.h"

namespace sluice::core_test {
namespace {

TEST_F(WorkerCoreTest, SealsReplicatesToAnotherHostAnnouncesAndPassesTheVerdictOn) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  Seal(1, 1);
  EXPECT_EQ(Done(), (Words{"sealed 1", "copy 1 to w3:1"}));
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:1"}));
  Verdict(1);
  EXPECT_EQ(Done(), (Words{"verdict to ex:1"}));
  After(2000);
  for (const auto& word : Done()) EXPECT_FALSE(word.starts_with("announce")) << word;
}

TEST_F(WorkerCoreTest, AnnouncesOneOfAnIncarnationAtATimeInOrder) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 3);
  Done();
  Copied("w3", 2);
  Copied("w3", 3);
  EXPECT_EQ(Done(), Words{});
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:1"}));
  Verdict(1);
  EXPECT_EQ(Done(), (Words{"announce 2 w1 w3 to jd:1", "verdict to ex:1"}));
}

TEST_F(WorkerCoreTest, ChoosesAnotherPeerWhenOneDiesOrRefuses) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  Seal(1, 1);
  EXPECT_EQ(Done().back(), "copy 1 to w3:1");
  Step(worker::PeerDown{"w3:1", /*refused=*/true});
  EXPECT_EQ(Done(), (Words{"copy 1 to w2:1"}));
  Copied("w2", 1, /*ok=*/false);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 to jd:1"}));  // nobody left; the minimum is one
  EXPECT_EQ(core_.blocks().UnderReplicated(), 1u);
}

TEST_F(WorkerCoreTest, ABrokenLinkIsTriedAgain) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Done();
  Step(worker::PeerDown{"w3:1", /*refused=*/false});
  After(100);
  EXPECT_EQ(Done().front(), "copy 1 to w3:1");
}

// All at once they overflowed the link, which broke, and all were sent again.
TEST_F(WorkerCoreTest, SoManyCopiesAreUnderWayToAPeerAndNoMore) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  const auto copies = [&] {
    const Words done = Done();
    return std::count_if(done.begin(), done.end(), [](const std::string& word) {
      return word.starts_with("copy") && word.ends_with("w3:1");
    });
  };
  Seal(1, 300);
  EXPECT_EQ(copies(), 256);
  for (uint64_t number = 1; number <= 10; ++number) Copied("w3", number);
  After(100);
  EXPECT_EQ(copies(), 10);
  Step(worker::PeerDown{"w3:1", /*refused=*/false});
  After(100);
  EXPECT_EQ(copies(), 256);
}

TEST_F(WorkerCoreTest, ACopyThatWasGivenUpOnAndTakenCounts) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 2);
  Done();
  After(600);
  Beat(1);
  After(600);  // more than a lease in all
  EXPECT_EQ(Done(), (Words{"copy 1 to w2:1", "copy 2 to w2:1"}));
  Copied("w3", 1);
  Copied("w2", 1);
  EXPECT_EQ(Done(), Words{"announce 1 w1 w2 w3 to jd:1"});
  Verdict(1);
  Done();
  Copied("w3", 1);
  EXPECT_EQ(Done(), Words{});  // known
  Copied("w2", 2);
  Verdict(2);
  Done();
  Copied("w3", 2);  // behind the verdict, too
  EXPECT_EQ(Done(), Words{"announce 2 w1 w2 w3 to jd:1"});
}

// The word that it had dropped its copy was lost, and each request for another one was answered by
// an announcement of what was not there.
TEST_F(WorkerCoreTest, WhoIsAskedForACopyDoesNotCountOnOneThere) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Copied("w3", 1);
  Verdict(1);
  Done();
  Replicate(1, "w3", 1);
  EXPECT_EQ(Done(), Words{"copy 1 to w3:1"});
  Copied("w3", 1);
  EXPECT_EQ(Done(), Words{"announce 1 w1 w3 to jd:1"});
}

// By its name alone it went on as a holder: for the log a block had two copies when it had one.
TEST_F(WorkerCoreTest, APeerThatWasStartedAnewHasNothingOfWhatItHad) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Copied("w3", 1);
  Session(1, {{"w1", "h1"}, {"w2", "h1"}, {"w3", "h3", /*incarnation=*/2}}, 2, 1, 1);
  Copied("w3", 1);  // a late word of the one that has ended
  Done();
  After(150);
  EXPECT_EQ(Done().front(), "announce 1 w1 to jd:1");
  Verdict(1);
  Done();
  Replicate(1, "w3", 2);
  EXPECT_EQ(Done(), Words{"copy 1 to w3:1"});
}

// It was cut off when the job ended, and its memory stayed full of blocks that nobody would read.
TEST_F(WorkerCoreTest, TheBlocksOfAJobThatFinishedWhileItWasAwayGo) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  const auto finished = [&] {
    Done();
    Receive("driver:1", [](proto::Envelope& e) { e.mutable_jobs_over()->add_finished(kJob); });
    return Done();
  };
  const auto silent_after = [&](int64_t ms) {
    Receive("driver:1", [](proto::Envelope& e) {
      e.mutable_worker_registered()->set_lease_ms(1000);
    });
    Done();
    After(ms);
    int jobs = -1;
    for (const auto& command : done_) {
      const auto* send = std::get_if<Send>(&command);
      if (send == nullptr || !send->message.has_worker_heartbeat()) continue;
      jobs = send->message.worker_heartbeat().silent_jobs_size();
    }
    return jobs;
  };
  EXPECT_EQ(silent_after(600), 0);
  EXPECT_EQ(finished(), Words{});  // somebody has taken it up again
  silent_after(600);
  EXPECT_EQ(silent_after(600), 1);
  const Words done = finished();
  EXPECT_EQ(std::count(done.begin(), done.end(), "drop job"), 1);
  EXPECT_EQ(core_.blocks().Count(kJob), 0u);
  EXPECT_EQ(silent_after(600), 0);
}

TEST_F(WorkerCoreTest, BelowTheMinimumNothingIsAnnounced) {
  Session(1, {{"w1", "h1"}}, 2, 2);
  RunExecutor(1, "receivers");
  Done();
  Seal(1, 1);
  After(3000);
  for (const auto& word : Done()) EXPECT_FALSE(word.starts_with("announce")) << word;
  Session(1, kThree, 2, 2);
  After(1000);
  Copied("w3", 1);
  EXPECT_EQ(Done().back(), "announce 1 w1 w3 to jd:1");
}

TEST_F(WorkerCoreTest, RepeatsAnAnnouncementUntilTheVerdictAndInANewEpoch) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Copied("w3", 1);
  Done();
  After(150);
  EXPECT_EQ(Done().front(), "announce 1 w1 w3 to jd:1");
  Session(2, kThree);
  const Words done = Done();
  EXPECT_EQ(done, (Words{"inventory of 1 epoch 2 to jd:2", "copy 1 to w3:1"}));
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:2"}));
  Verdict(1, true, 1);  // of the driver that was replaced
  EXPECT_EQ(Done(), Words{});
  Verdict(1, true, 2);
  EXPECT_EQ(Done(), (Words{"verdict to ex:1"}));
}

TEST_F(WorkerCoreTest, ARefusedBlockIsDroppedHereAndAtPeers) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 2, /*reliable=*/true);
  Copied("w3", 1);
  Copied("w3", 2);
  Done();
  Verdict(1, false);
  EXPECT_EQ(Done(), (Words{"release to w3:1", "drop 1", "announce 2 w1 w3 to jd:1",
                           "verdict to ex:1"}));
}

TEST_F(WorkerCoreTest, ADeadReceiversOpenBufferIsSealedWhenItsSourceIsUnreliable) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Done();
  BlockKey open = Key(0), sealed = Key(2);
  Step(worker::ProcessReaped{{kJob, 1, 1}, "signal 9", false, {},
                             {{open, false, 300, 5}, {sealed, false, 200, 7},
                              {Key(1), false, 100, 3}, {open, true, 400, 5}}});
  EXPECT_EQ(Done(), (Words{"exited: signal 9", "store 2"}));
  auto info = [](uint64_t n) {
    proto::BlockInfo block;
    *block.mutable_name() = NameOf(Key(n));
    block.set_recovered(true);
    return block;
  };
  Step(worker::SliceStored{info(2), true, false, "", ""});
  EXPECT_EQ(Done(), (Words{"store 3", "copy 2 to w3:1"}));
  Step(worker::SliceStored{info(3), true, false, "", ""});
  EXPECT_EQ(Done(), (Words{"copy 3 to w3:1", "forget 1"}));
}

TEST_F(WorkerCoreTest, ADeadReliableReceiversBlocksGoUnlessADriverWasTold) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 2, /*reliable=*/true);
  Copied("w3", 1);
  Copied("w3", 2);
  Done();
  Step(worker::ProcessReaped{{kJob, 1, 1}, "signal 11", true, {}, {}});
  EXPECT_EQ(Done(), (Words{"exited: signal 11", "release to w3:1", "drop 2", "forget 1"}));
  Verdict(1);
  EXPECT_EQ(Done(), Words{});
}

TEST_F(WorkerCoreTest, ACopyOfADeadPeersUnreliableBlockIsAnnouncedByItsHolder) {
  Session(1, kThree);
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(1));
  Step(worker::CopyStored{"w3:1", 1, info, true, ""});
  EXPECT_EQ(Done().back(), "copied to w3:1");
  Session(1, kThree);
  for (const auto& word : Done()) EXPECT_FALSE(word.starts_with("copy")) << word;
  Session(1, {{"w1", "h1"}, {"w2", "h1"}, {"w3", "h3", /*incarnation=*/2}});
  EXPECT_EQ(Done().back(), "copy 1 to w3:1");
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:1"}));
}

TEST_F(WorkerCoreTest, ASealTickIsDoneWhenWhatWasSealedIsAnnounced) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  SealTick();
  EXPECT_EQ(Done(), (Words{"seal tick to ex:1"}));
  Seal(1, 1);
  Receive("ex:1", [](proto::Envelope& e) {
    e.mutable_seal_done()->set_job_instance(kJob);
    e.mutable_seal_done()->set_batch_ms(1000);
  });
  EXPECT_EQ(Done(), (Words{"sealed 1", "copy 1 to w3:1"}));
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:1", "seal done to jd:1"}));
}

// A drain ended without it.
TEST_F(WorkerCoreTest, ASealTickWaitsForABlockOfAReceiverThatHasEnded) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Step(worker::ProcessReaped{{kJob, 1, 1}, "exit 0", false, {}, {}});
  Done();
  SealTick();
  EXPECT_EQ(Done(), Words{});
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:1", "seal done to jd:1"}));
}

TEST_F(WorkerCoreTest, ASealTickWaitsForWhatItsReceiverLeftWhenItEnded) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  SealTick();
  EXPECT_EQ(Done(), (Words{"seal tick to ex:1"}));
  Step(worker::ProcessReaped{{kJob, 1, 1}, "signal 9", false, {}, {{Key(0), false, 300, 5}}});
  EXPECT_EQ(Done(), (Words{"exited: signal 9", "store 1"}));
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(1));
  Step(worker::SliceStored{info, true, false, "", ""});
  EXPECT_EQ(Done(), (Words{"copy 1 to w3:1", "forget 1"}));
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:1", "seal done to jd:1"}));
}

TEST_F(WorkerCoreTest, ASealTickDoesNotWaitForWhatADeadReliableReceiverWillSendAgain) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  Receive("ex:1", [](proto::Envelope& e) {
    for (const uint64_t number : {1, 2}) {
      auto& block = *e.mutable_seal_slices()->add_slices()->mutable_block();
      *block.mutable_name() = NameOf(Key(number));
      block.set_reliable(true);
    }
  });
  EXPECT_EQ(Done(), (Words{"store 1"}));
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(1));
  Step(worker::SliceStored{info, false, true, "disk full", ""});
  SealTick();
  EXPECT_EQ(Done(), (Words{"refused: disk full", "seal tick to ex:1"}));
  Step(worker::ProcessReaped{{kJob, 1, 1}, "signal 9", false, {}, {}});
  EXPECT_EQ(Done(), (Words{"exited: signal 9", "seal done to jd:1", "forget 1"}));
}

TEST_F(WorkerCoreTest, RatesArePassedOnToTheReceiversOfTheirJob) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  RunExecutor(2, "tasks");
  Done();
  Receive("jd:1", [](proto::Envelope& e) { e.mutable_receiver_rates()->set_job_instance(kJob); });
  EXPECT_EQ(Done(), (Words{"receiver rates to ex:1"}));
  Receive("jd:2", [](proto::Envelope& e) { e.mutable_receiver_rates()->set_job_instance(kJob); });
  EXPECT_EQ(Done(), Words{});  // that one does not drive it
}

TEST_F(WorkerCoreTest, WithoutReceiversASealTickIsDoneAtOnce) {
  Session(1, kThree);
  Done();
  Receive("jd:1", [](proto::Envelope& e) { e.mutable_seal_tick()->set_job_instance(kJob); });
  EXPECT_EQ(Done(), (Words{"seal done to jd:1"}));
}

TEST_F(WorkerCoreTest, WithoutRoomASealWaitsAndGoesOnLater) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  Receive("ex:1", [](proto::Envelope& e) {
    *e.mutable_seal_slices()->add_slices()->mutable_block()->mutable_name() = NameOf(Key(1));
    *e.mutable_seal_slices()->add_slices()->mutable_block()->mutable_name() = NameOf(Key(2));
  });
  EXPECT_EQ(Done(), (Words{"store 1"}));
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(1));
  Step(worker::SliceStored{info, false, true, "disk full", ""});
  EXPECT_EQ(Done(), (Words{"refused: disk full"}));
  After(300);
  EXPECT_EQ(Done(), (Words{"store 1"}));
  Step(worker::SliceStored{info, true, false, "", ""});
  EXPECT_EQ(Done(), (Words{"sealed 0", "store 2", "copy 1 to w3:1"}));
}

// The driver waited for its number for ever, and so did whoever had pushed its records.
TEST_F(WorkerCoreTest, OfABlockThatCannotBeSealedTheNumberIsAnnounced) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(1));
  info.set_reliable(true);
  info.set_records(5);
  Receive("ex:1", [&](proto::Envelope& e) {
    *e.mutable_seal_slices()->add_slices()->mutable_block() = info;
    *e.mutable_seal_slices()->add_slices()->mutable_block()->mutable_name() = NameOf(Key(2));
  });
  Step(worker::SliceStored{info, false, false, "what was sealed is no record batch", ""});
  EXPECT_EQ(Done(), (Words{"store 1", "sealed 0", "store 2", "announce 1 to jd:1"}));
  After(150);
  EXPECT_EQ(Done(), (Words{"announce 1 to jd:1"}));
  Session(1, kThree);
  EXPECT_EQ(Done(), (Words{"inventory of 0 epoch 1 to jd:1"}));
  Verdict(1, false);
  EXPECT_EQ(Done(), (Words{"drop 1", "verdict to ex:1"}));
}

// The job driver went on naming it as a holder, and the batch waited for ever.
TEST_F(WorkerCoreTest, ACopyThatIsDamagedIsDroppedAndSaidToBe) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 2);
  Copied("w3", 1);
  Verdict(1);
  Done();
  Step(worker::CopyUnreadable{Key(1), "too many open files"});
  EXPECT_EQ(Done(), Words{});  // it may be read later
  for (int i = 0; i < 2; ++i) FindDamaged(1);
  EXPECT_EQ(Done(), (Words{"not copied to jd:1", "not copied to w2:1", "not copied to w3:1",
                           "drop 1"}));
  Session(1, kThree);
  EXPECT_EQ(Done(), (Words{"inventory of 1 epoch 1 to jd:1"}));
}

// Each half a second it was sent again, and nothing behind it was announced.
TEST_F(WorkerCoreTest, OfABlockThatIsDamagedBeforeItIsCopiedTheNumberIsAnnounced) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 2, /*reliable=*/true);
  Done();
  FindDamaged(1);
  EXPECT_EQ(Done().back(), "announce 1 to jd:1");
  Copied("w3", 1);  // it came too late to count
  Copied("w3", 2);
  After(150);
  EXPECT_EQ(Done(), (Words{"announce 1 to jd:1"}));
  Verdict(1, false);
  EXPECT_EQ(Done(), (Words{"drop 1", "announce 2 w1 w3 to jd:1", "verdict to ex:1"}));
}

TEST_F(WorkerCoreTest, ABlockThatIsDamagedBehindAnotherIsAnnouncedWithWhoeverHasIt) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 2);
  Copied("w3", 2);
  FindDamaged(2);
  Done();
  Copied("w3", 1);
  Verdict(1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:1", "announce 2 w3 to jd:1",
                           "verdict to ex:1"}));
  Verdict(2);
  EXPECT_EQ(Done(), (Words{"drop 2", "verdict to ex:1"}));
}

TEST_F(WorkerCoreTest, AnExecutorSealsOnlyItsOwnIncarnations) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  Receive("ex:1", [](proto::Envelope& e) {
    BlockKey other = Key(1);
    other.incarnation = 99;
    *e.mutable_seal_slices()->add_slices()->mutable_block()->mutable_name() = NameOf(other);
  });
  EXPECT_EQ(Done(), Words{});
}

}  // namespace
}  // namespace sluice::core_test
