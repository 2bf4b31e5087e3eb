// Blocks of jobs with a received-data log in the worker core.
#include "worker/daemon/worker_core_fixture.h"

namespace sluice::core_test {
namespace {

class LoggedBlocksTest : public WorkerCoreTest {
 protected:
  LoggedBlocksTest() {
    received_log_ = "store";
    Session(1, kThree);
    RunExecutor(1, "receivers");
    Done();
  }
  void Logged(uint64_t number, const std::string& error = "") {
    Step(worker::BlockLogged{Key(number), error});
  }
  void Restore(uint64_t number) {
    Receive("jd:1", [&](proto::Envelope& e) {
      *e.mutable_restore_block()->mutable_block()->mutable_name() = NameOf(Key(number));
      e.mutable_restore_block()->mutable_block()->set_in_store(true);
      e.mutable_restore_block()->set_store("store");
      e.mutable_restore_block()->set_epoch(1);
    });
  }
  void Read(uint64_t number, bool ok, bool gone = false) {
    worker::LoggedRead read;
    *read.info.mutable_name() = NameOf(Key(number));
    read.info.set_in_store(true);
    read.ok = ok;
    read.gone = gone;
    Step(read);
  }
};

TEST_F(LoggedBlocksTest, ABlockIsAnnouncedWhenItIsCopiedAndInTheStore) {
  Seal(1, 1);
  EXPECT_EQ(Done(), (Words{"sealed 1", "log 1", "copy 1 to w3:1"}));
  Copied("w3", 1);
  EXPECT_EQ(Done(), Words{});
  Logged(1);
  EXPECT_EQ(Done(), (Words{"announce 1 in store w1 w3 to jd:1"}));
}

TEST_F(LoggedBlocksTest, TheStoreMayBeFasterThanThePeer) {
  Seal(1, 1);
  Done();
  Logged(1);
  EXPECT_EQ(Done(), Words{});
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 in store w1 w3 to jd:1"}));
}

TEST_F(LoggedBlocksTest, AStoreThatIsAwayHoldsTheAnnouncementAndIsTriedAgain) {
  Seal(1, 1);
  Copied("w3", 1);
  Done();
  Logged(1, "away");
  EXPECT_EQ(Done(), Words{});
  After(100);
  EXPECT_EQ(Done(), (Words{"log 1"}));
  Logged(1, "away");
  After(100);
  EXPECT_EQ(Done(), Words{});  // it waits longer each time
  After(100);
  EXPECT_EQ(Done(), (Words{"log 1"}));
  Logged(1);
  EXPECT_EQ(Done(), (Words{"announce 1 in store w1 w3 to jd:1"}));
}

TEST_F(LoggedBlocksTest, OfABlockThatIsDamagedBeforeItIsWrittenTheNumberIsAnnounced) {
  Seal(1, 1);
  Copied("w3", 1);
  Done();
  FindDamaged(1);
  Logged(1, "damaged");
  EXPECT_EQ(Done().back(), "announce 1 to jd:1");
  After(200);
  for (const auto& word : Done()) EXPECT_EQ(word, "announce 1 to jd:1");
}

// It announced what it could not give.
TEST_F(LoggedBlocksTest, ACopyThatIsDamagedIsReadFromTheStoreWhereItWas) {
  Restore(4);
  Read(4, true);
  Verdict(4);
  FindDamaged(4);
  Done();
  Restore(4);
  EXPECT_EQ(Done(), (Words{"read 4 from store"}));
}

TEST_F(LoggedBlocksTest, ABlockIsNotWrittenTwiceAtATime) {
  Seal(1, 1);
  Done();
  After(200);
  for (const auto& word : Done()) EXPECT_NE(word, "log 1");
}

TEST_F(LoggedBlocksTest, ABlockThatIsReadBackIsAnnounced) {
  Restore(4);
  EXPECT_EQ(Done(), (Words{"read 4 from store"}));
  Restore(4);
  EXPECT_EQ(Done(), Words{});  // it is on its way
  Read(4, true);
  EXPECT_EQ(Done(), (Words{"announce 4 in store w1 to jd:1"}));
  Verdict(4);
  After(2000);
  for (const auto& word : Done()) EXPECT_FALSE(word.starts_with("announce")) << word;
  Restore(4);
  EXPECT_EQ(Done(), (Words{"announce 4 in store w1 to jd:1"}));
}

TEST_F(LoggedBlocksTest, ABlockThatCannotBeReadBackIsSaidToBe) {
  Restore(4);
  Done();
  Read(4, false);
  EXPECT_EQ(Done(), (Words{"not restored to jd:1"}));
  Restore(4);
  EXPECT_EQ(Done(), (Words{"read 4 from store"}));
  Read(4, false, /*gone=*/true);
  EXPECT_EQ(Done(), (Words{"gone to jd:1"}));
}

TEST_F(LoggedBlocksTest, ABlockReadBackForAJobThatHasEndedIsDropped) {
  Restore(4);
  Receive("jd:1", [](proto::Envelope& e) {
    e.mutable_job_ended()->set_job_instance(kJob);
    e.mutable_job_ended()->set_epoch(1);
  });
  Done();
  Read(4, true);
  EXPECT_EQ(Done(), (Words{"drop 4"}));
}

// They may have been told to let it go while this worker did not hear it.
TEST_F(LoggedBlocksTest, ARestoredBlockNamesNoHoldersOfAFormerEpoch) {
  Restore(4);
  Read(4, true);
  Replicate(4, "w3", 1);
  Copied("w3", 4);
  EXPECT_EQ(Done().back(), "announce 4 in store w1 w3 to jd:1");
  Session(2, kThree);
  Replicate(4, "w2", 1, /*epoch=*/2);
  Copied("w2", 4);
  EXPECT_EQ(Done().back(), "announce 4 in store w1 w2 to jd:2");
}

TEST_F(LoggedBlocksTest, AWordOfACopyThatIsLateForItsEpochDoesNotCount) {
  Restore(4);
  Read(4, true);
  Replicate(4, "w3", 1);
  Copied("w3", 4);
  Session(2, kThree);
  Done();
  Copied("w3", 4);
  EXPECT_EQ(Done(), Words{});
}

TEST_F(LoggedBlocksTest, ANewEpochWithoutALogWaitsForNone) {
  Seal(1, 1);
  Copied("w3", 1);
  Done();
  received_log_.clear();
  Session(2, kThree);
  EXPECT_EQ(Done().back(), "announce 1 w1 w3 to jd:2");
}

}  // namespace
}  // namespace sluice::core_test
