// Which worker knows of which peers, and what a block's holders are told.
#include "driver/job/block_desk_fixture.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using Names = std::vector<std::string>;

TEST(MembershipTest, AWorkerThatWasSilentAndReturnsIsNamedToItsPeers) {
  Books books;
  books.Greet();
  for (int i = 0; i < 5; ++i) {  // w0 says nothing for more than a lease
    books.Pass(kLeaseUs / 4);
    books.Beat("w1");
  }
  ASSERT_NE(books.SessionTo("w1"), nullptr);
  EXPECT_EQ(books.SessionTo("w1")->members().workers_size(), 1);
  books.Inventory("w1", books.SessionTo("w1")->number());
  ASSERT_NE(books.SessionTo("w0"), nullptr);
  books.Inventory("w0", books.SessionTo("w0")->number());
  books.Pass(1'000);
  ASSERT_NE(books.SessionTo("w1"), nullptr);
  EXPECT_EQ(books.SessionTo("w1")->members().workers_size(), 2);
}

// It kept copies of what that one had sealed, and waited for it to announce them.
TEST(MembershipTest, AWorkerThatReturnsIsToldWhoWasLostMeanwhile) {
  Books books;
  books.Greet();
  const auto silent = [&](const std::vector<std::string>& others) {
    for (int i = 0; i < 5; ++i) {
      books.Pass(kLeaseUs / 4);
      for (const std::string& other : others) books.Beat(other);
    }
  };
  silent({"w1"});
  const uint64_t session = books.SessionOf("w0");
  silent({});
  books.Inventory("w0", session);
  books.Pass(1'000);
  ASSERT_NE(books.SessionTo("w0"), nullptr);
  EXPECT_EQ(books.SessionTo("w0")->members().workers_size(), 1);
}

TEST(MembershipTest, AWorkerThatIsLostIsNotAwaitedAgainWheneverItIsListed) {
  Books books;
  books.Greet();
  for (int i = 0; i < 5; ++i) {  // w0 says nothing for more than a lease
    books.Pass(kLeaseUs / 4);
    books.Beat("w1");
  }
  ASSERT_TRUE(books.InventoriesIn());
  books.List();
  EXPECT_TRUE(books.InventoriesIn());
}

TEST(MembershipTest, ASessionIsRepeatedUntilItIsAnswered) {
  Books books;
  books.Pass(1'000);
  const uint64_t lost = books.SessionTo("w0")->number();
  books.Inventory("w1", books.SessionTo("w1")->number());
  books.Pass(600'000);
  ASSERT_NE(books.SessionTo("w0"), nullptr);
  EXPECT_EQ(books.SessionTo("w1"), nullptr);
  const uint64_t second = books.SessionTo("w0")->number();
  EXPECT_GT(second, lost);
  books.Inventory("w0", lost);  // an answer to an older one tells not whether this one arrived
  books.Beat("w1");
  books.Pass(1'100'000);
  ASSERT_NE(books.SessionTo("w0"), nullptr);
  books.Inventory("w0", books.SessionTo("w0")->number());
  books.Beat("w1");
  books.Pass(2'200'000);
  EXPECT_EQ(books.SessionTo("w0"), nullptr);
}

TEST(MembershipTest, OfTwoReceiversOfOneStreamOneIsStopped) {
  Books books;
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number(), second = books.SessionTo("w1")->number();
  books.Inventory("w0", first, {}, 4);
  books.Inventory("w1", second, {}, 5);  // a former driver gave it up and could not end it
  books.Pass(kLeaseUs / 5);
  EXPECT_FALSE(books.Stopped("w0", 4));
  EXPECT_TRUE(books.Stopped("w1", 5));
}

TEST(MembershipTest, NoExecutorGetsTheIdOfAReceiverOfAFormerEpoch) {
  Books books;
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number(), second = books.SessionTo("w1")->number();
  books.Inventory("w0", first);
  books.Pass(1'000);
  EXPECT_TRUE(books.Started().empty());  // w1 may have one
  books.Inventory("w1", second, {}, 1);
  books.Pass(1'000);
  EXPECT_EQ(books.Started(), (std::vector<uint32_t>{2, 3}));
}

TEST(MembershipTest, AReceiverThatReturnsWithAnIdInUseIsStopped) {
  Books books;
  books.Greet();
  books.Pass(1'000);
  ASSERT_EQ(books.Started(), (std::vector<uint32_t>{1, 2}));
  // w0 says nothing for more than a lease.
  for (int i = 0; i < 5 || books.SessionTo("w0") == nullptr; ++i) {
    books.Pass(kLeaseUs / 4);
    books.Beat("w1");
  }
  books.Inventory("w0", books.SessionTo("w0")->number(), {}, 2);
  books.Pass(kLeaseUs / 5);
  EXPECT_TRUE(books.Stopped("w0", 2));
  EXPECT_FALSE(books.Stopped("w1", 2));
}

TEST(BlockDeskTest, AReleaseIsRepeatedUntilABeatNamesIt) {
  Books books;
  books.Greet();
  books.Announce(1, {"w0", "w1"});
  books.Cover(1);
  books.Pass(1'000);
  ASSERT_NE(books.ReleaseTo("w0"), nullptr);
  ASSERT_NE(books.ReleaseTo("w1"), nullptr);
  const uint64_t number = books.ReleaseTo("w0")->number();
  books.Beat("w1", books.ReleaseTo("w1")->number());
  books.Beat("w0", number - 1);
  books.Pass(600'000);
  EXPECT_EQ(books.ReleaseTo("w1"), nullptr);
  ASSERT_NE(books.ReleaseTo("w0"), nullptr);
  EXPECT_EQ(books.ReleaseTo("w0")->number(), number);
  EXPECT_EQ(books.ReleaseTo("w0")->names_size(), 1);
  books.Beat("w0", number);
  books.Pass(600'000);
  EXPECT_EQ(books.ReleaseTo("w0"), nullptr);
}

TEST(BlockDeskTest, ACopyThatIsAnnouncedAfterItsBlockWasCoveredIsReleased) {
  Books books;
  books.Greet();
  books.Announce(1, {"w0"});
  books.Cover(1);
  books.Pass(1'000);
  EXPECT_EQ(books.ReleaseTo("w1"), nullptr);
  books.Announce(1, {"w0", "w1"});
  books.Pass(1'000);
  EXPECT_NE(books.ReleaseTo("w1"), nullptr);
}

// Simulator seed 56: a driver that was fenced before the log had it took away a block whose
// receiver lived, and its successor waited for that block for ever.
TEST(BlockDeskTest, WhatADeadReceiverLeftIsReleasedOnlyWhenTheLogHasItsNumber) {
  Books books;
  books.MakeReliable();
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number(), second = books.SessionTo("w1")->number();
  books.Inventory("w0", first, {1});
  books.Inventory("w1", second);
  for (int i = 0; i < 3; ++i) {
    books.Pass(kLeaseUs / 5);
    EXPECT_EQ(books.ReleaseTo("w0"), nullptr);
  }
  books.MakeDurable();
  books.Pass(kLeaseUs / 5);
  EXPECT_NE(books.ReleaseTo("w0"), nullptr);
}

// Simulator seed 101073: a copy's announcement came late, behind the inventory of its holder's next
// incarnation. The block was in the received-data log, and nobody fetched it from there.
TEST(BlockDeskTest, AWorkerThatHoldsLessThanIsKnownIsAskedForItsInventory) {
  Books books;
  books.Greet();
  books.Announce(1, {"w0", "w1"});
  books.Pass(1'000);
  ASSERT_EQ(books.SessionTo("w1"), nullptr);
  for (int i = 0; i < 20 && books.SessionTo("w1") == nullptr; ++i) {
    books.Beat("w0", 0, 1);
    books.Beat("w1", 0, 0);
    books.Pass(kLeaseUs / 4);
  }
  ASSERT_NE(books.SessionTo("w1"), nullptr);
  EXPECT_EQ(books.SessionTo("w0"), nullptr);
  books.Inventory("w1", books.SessionTo("w1")->number());
  books.Pass(kLeaseUs / 4);
  EXPECT_EQ(books.under_replicated(), 1u);
}

TEST(BlockDeskTest, AWorkerThatHoldsMoreThanIsKnownIsAskedForItsInventory) {
  Books books;
  books.Greet();
  books.Pass(1'000);
  for (int i = 0; i < 20 && books.SessionTo("w0") == nullptr; ++i) {
    books.Beat("w0", 0, 1);
    books.Beat("w1");
    books.Pass(kLeaseUs / 4);
  }
  ASSERT_NE(books.SessionTo("w0"), nullptr);
  EXPECT_EQ(books.SessionTo("w1"), nullptr);
}

TEST(BlockDeskTest, AnInventoryOlderThanAnAnnouncementDoesNotTakeItsHolderAway) {
  Books books;
  books.Pass(1'000);
  const uint64_t session = books.SessionTo("w0")->number();
  books.Inventory("w1", books.SessionTo("w1")->number());
  books.Announce(1, {"w0"});
  books.Inventory("w0", session);  // made before the block was sealed, and late
  EXPECT_EQ(books.Holders(1), Names{"w0"});
  books.Beat("w1");
  books.Pass(600'000);
  books.Inventory("w0", session + 100);  // one that was asked for later is believed
  EXPECT_EQ(books.Holders(1), Names{});
}

// A worker that is killed and started under its id is named by its peers until they hear of it.
TEST(BlockDeskTest, AHolderThatWasStartedAnewSinceIsNone) {
  Books books;
  books.Add("w2");
  books.List();
  books.Greet();
  books.Announce(1, {"w0", "w1"}, {1, 7});
  EXPECT_EQ(books.Holders(1), Names{"w0"});
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked().size(), 1u);
  books.Announce(2, {"w1"}, {7});  // of what had it alone: as if it had been lost on its way
  EXPECT_TRUE(books.sent.empty());
  books.Announce(2, {"w1"});
  EXPECT_EQ(books.Holders(2), Names{"w1"});
}

// It came after that of its successor, which then had blocks that it had never seen.
TEST(BlockDeskTest, ALateInventoryOfADaemonThatWasStartedAnewIsNotItsSuccessors) {
  Books books;
  books.Greet();
  books.Announce(1, {"w0"});
  books.Restart("w1");
  books.Pass(1'000);
  const uint64_t session = books.SessionTo("w1")->number();
  books.Inventory("w1", session, {}, 0, 2);
  books.Inventory("w1", session - 1, {1}, 0, 1);
  EXPECT_EQ(books.Holders(1), Names{"w0"});
}

// A rolling restart that waits for copies to be whole went on.
TEST(BlockDeskTest, ABlockThatNoWorkerHasCountsAsOneWithTooFewCopies) {
  Books books;
  books.Greet();
  books.Announce(1, {"w0", "w1"});
  books.Pass(300'000);
  EXPECT_EQ(books.under_replicated(), 0u);
  for (const char* worker : {"w0", "w1"}) books.Inventory(worker, UINT64_MAX);
  books.Pass(300'000);
  EXPECT_EQ(books.under_replicated(), 1u);
}

// The first answer to a new job driver made it log the holders anew, without those who had not
// answered yet; when that one died, the block counted as lost, though they had it.
TEST(BlockDeskTest, AHolderThatHasNotAnsweredYetStaysNamed) {
  Books books;
  books.Add("w2");
  books.List();
  books.AddLogged(1, {"w0", "w1"});
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number(), second = books.SessionTo("w1")->number();
  books.Inventory("w2", books.SessionTo("w2")->number(), {1});
  EXPECT_EQ(books.Holders(1), Names{"w2"});
  books.Restart("w2");
  books.Pass(1'000);
  books.Inventory("w2", books.SessionTo("w2")->number(), {}, 0, 2);
  EXPECT_FALSE(books.Lost(1));
  books.Inventory("w0", first);
  EXPECT_FALSE(books.Lost(1));
  books.Inventory("w1", second);
  EXPECT_TRUE(books.Lost(1));
}

// A session reached the next daemon at the address; its answer left what the former one had had.
TEST(BlockDeskTest, WhatAWorkerHadIsGoneWithItsDaemonWhicheverSessionTheNextOneAnswers) {
  Books books;
  books.Greet();
  books.Announce(1, {"w0", "w1"});
  for (int i = 0; i < 15; ++i) {  // w1 falls silent
    books.Pass(100'000);
    books.Beat("w0");
  }
  books.Announce(1, {"w0", "w1"});
  books.Restart("w1");
  books.Inventory("w1", books.SessionOf("w1"), {}, 0, 2);
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), Names{"1: w0 to w1"});
}

// The copies of two workers that drain together counted as enough.
TEST(BlockDeskTest, ABlockIsCopiedAwayFromAHolderThatDrains) {
  Books books;
  books.Add("w2");
  books.List();
  books.Greet();
  books.Announce(1, {"w0", "w1"});
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), Names{});
  books.Drain("w0");
  books.Pass(1'000);
  ASSERT_NE(books.SessionTo("w1"), nullptr);
  EXPECT_TRUE(books.SessionTo("w1")->members().workers(0).draining());
  for (const char* holder : {"w0", "w1"}) {
    books.Inventory(holder, books.SessionTo(holder)->number(), {1});
  }
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), Names{"1: w1 to w2"});
  books.Drain("w2");
  books.Pass(4'000'000);
  EXPECT_EQ(books.CopiesAsked(), Names{});
}

// It stayed a holder, and the job waited without a word.
TEST(BlockDeskTest, ABlockWhoseOnlyCopyIsDamagedIsLost) {
  Books books;
  books.Greet();
  books.Announce(1, {"w0", "w1"});
  books.CopyGone("w0", 1);
  EXPECT_FALSE(books.Lost(1));
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), Names{"1: w1 to w0"});
  books.CopyGone("w1", 1);
  EXPECT_TRUE(books.Lost(1));
}

// All at once they overflowed the links of whoever had them.
TEST(BlockDeskTest, AHolderIsAskedForSoManyCopiesAtATimeAndNoMore) {
  Books books;
  books.Greet();
  for (uint64_t number = 1; number <= 300; ++number) books.Announce(number, {"w0"});
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked().size(), 256u);
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), Names{});
  books.Announce(7, {"w0", "w1"});
  books.Announce(8, {"w0", "w1"});
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), (Names{"257: w0 to w1", "258: w0 to w1"}));
  EXPECT_EQ(books.under_replicated(), 298u);
}

TEST(BlockDeskTest, TheNumberOfABlockThatCouldNotBeSealedIsUsedUp) {
  Books books;
  books.Greet();
  for (int i = 0; i < 2; ++i) {  // the first verdict was lost
    books.AnnounceUnsealed(1);
    EXPECT_TRUE(books.Judged());
    EXPECT_FALSE(books.Accepted());
  }
  books.Announce(2, {"w0"});
  EXPECT_TRUE(books.Accepted());
  EXPECT_EQ(books.state().waiting_blocks().size(), 1u);
}

TEST(BlockDeskTest, WhatTheReceiversOfAFormerProgramLeftIsNoInputOfThisOne) {
  for (const bool changed : {false, true}) {
    Books books;
    if (changed) books.ChangeProgram();
    books.Pass(1'000);
    const uint64_t first = books.SessionTo("w0")->number();
    const uint64_t second = books.SessionTo("w1")->number();
    books.Inventory("w0", first, {1});  // of an unreliable source, and of a receiver that is dead
    books.Inventory("w1", second);
    books.Pass(300'000);
    books.MakeDurable();
    EXPECT_EQ(books.state().waiting_blocks().size(), changed ? 0u : 1u);
    books.Pass(300'000);
    EXPECT_EQ(books.ReleaseTo("w0") != nullptr, changed);
    books.Announce(2, {"w0"});
    EXPECT_EQ(books.Accepted(), !changed);
  }
}

}  // namespace
}  // namespace sluice
