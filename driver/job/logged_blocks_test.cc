// Blocks that are in the received-data log, in the job driver's books.
#include <gtest/gtest.h>

#include "driver/job/block_desk_fixture.h"

namespace sluice {
namespace {

using Numbers = std::vector<uint64_t>;

class LoggedBlocksTest : public testing::Test {
 protected:
  LoggedBlocksTest() {
    books_.MakeLogged();
    books_.Greet();
  }
  // Both workers start anew, with nothing.
  void LoseAll() {
    for (const char* worker : {"w0", "w1"}) books_.Inventory(worker, UINT64_MAX);
    books_.Pass(300'000);
  }
  Books books_;
};

TEST_F(LoggedBlocksTest, ABlockThatNoWorkerHasIsReadFromTheStore) {
  books_.Announce(1, {"w0"});
  books_.Pass(300'000);
  EXPECT_EQ(books_.Restored(), Numbers{});
  LoseAll();
  EXPECT_EQ(books_.Restored(), Numbers{1});
  EXPECT_FALSE(books_.Lost(1));
  books_.Pass(300'000);
  EXPECT_EQ(books_.Restored(), Numbers{});  // it was asked for
  books_.Announce(1, {"w1"});
  EXPECT_EQ(books_.Holders(1), (std::vector<std::string>{"w1"}));
  books_.Pass(300'000);
  EXPECT_EQ(books_.Restored(), Numbers{});
}

// It was waited for, as long as its beats came.
TEST_F(LoggedBlocksTest, WhatALostWorkerHasIsReadFromTheStoreThoughItsBeatsGoOn) {
  books_.Announce(1, {"w0"});
  for (int i = 0; i < 15; ++i) {  // w0 is silent for more than a lease
    books_.Pass(100'000);
    books_.Beat("w1");
  }
  Numbers restored;
  for (int i = 0; i < 15 && restored.empty(); ++i) {
    books_.Beat("w0");
    books_.Beat("w1");
    books_.Pass(100'000);
    restored = books_.Restored();
  }
  EXPECT_EQ(restored, Numbers{1});
}

TEST_F(LoggedBlocksTest, ABlockWhoseOnlyCopyIsDamagedIsReadFromTheStore) {
  books_.Announce(1, {"w0"});
  books_.CopyGone("w0", 1, /*incarnation=*/7);  // a late word of the one that has ended
  books_.Pass(300'000);
  EXPECT_EQ(books_.Restored(), Numbers{});
  books_.CopyGone("w0", 1);
  EXPECT_FALSE(books_.Lost(1));
  books_.Pass(300'000);
  EXPECT_EQ(books_.Restored(), Numbers{1});
}

TEST_F(LoggedBlocksTest, AReadThatFailsIsAskedForAgain) {
  books_.Announce(1, {"w0"});
  LoseAll();
  books_.NotRestored("w0", 1, /*gone=*/false);
  EXPECT_FALSE(books_.Lost(1));
  for (int i = 0; i < 40 && books_.Restored().empty(); ++i) {
    books_.Pass(100'000);
    books_.Beat("w0");
    books_.Beat("w1");
  }
  EXPECT_EQ(books_.Restored(), Numbers{1});
}

TEST_F(LoggedBlocksTest, AnObjectThatIsGoneIsALossAndIsNotAskedForAgain) {
  books_.Announce(1, {"w0"});
  LoseAll();
  for (const char* worker : {"w0", "w1"}) books_.NotRestored(worker, 1, /*gone=*/true);
  EXPECT_TRUE(books_.Lost(1));
  for (int i = 0; i < 40; ++i) {
    books_.Pass(100'000);
    books_.Beat("w0");
    books_.Beat("w1");
    EXPECT_EQ(books_.Restored(), Numbers{});
  }
}

// One that did not see the store mounted made each block lost that it was asked for.
TEST_F(LoggedBlocksTest, WhatOneWorkerDoesNotFindIsAskedOfAnotherBeforeItIsLost) {
  books_.Announce(1, {"w0"});
  LoseAll();
  const std::string first = books_.RestorerOf(1);
  books_.NotRestored(first, 1, /*gone=*/true);
  EXPECT_FALSE(books_.Lost(1));
  books_.Pass(200'000);
  const std::string second = books_.RestorerOf(1);
  ASSERT_NE(second, "");
  EXPECT_NE(second, first);
  books_.NotRestored(second, 1, /*gone=*/true);
  EXPECT_TRUE(books_.Lost(1));
}

// By turns of all blocks together the same worker got the same ones each time.
TEST_F(LoggedBlocksTest, WhatOneWorkerCannotReadIsAskedOfAnotherNext) {
  for (const uint64_t number : {1, 2}) books_.Announce(number, {"w0"});
  LoseAll();
  const std::string first = books_.RestorerOf(1), other = books_.RestorerOf(2);
  EXPECT_NE(first, other);
  for (int i = 0; i < 40 && (i == 0 || books_.Restored().empty()); ++i) {
    books_.Pass(100'000);
    books_.Beat("w0");
    books_.Beat("w1");
  }
  EXPECT_EQ(books_.RestorerOf(1), other);
  EXPECT_EQ(books_.RestorerOf(2), first);
}

TEST_F(LoggedBlocksTest, ThoseOfTheOldestBatchAreReadFirst) {
  for (uint64_t number = 1; number <= 100; ++number) books_.Announce(number, {"w0"});
  books_.Plan(1000, {98, 99});
  books_.Plan(2000, {70, 71});
  LoseAll();
  Numbers asked = books_.Restored();
  ASSERT_EQ(asked.size(), 64u);
  asked.resize(5);
  EXPECT_EQ(asked, (Numbers{98, 99, 70, 71, 1}));
}

TEST_F(LoggedBlocksTest, SixtyFourBlocksAreReadAtATime) {
  for (uint64_t number = 1; number <= 100; ++number) books_.Announce(number, {"w0"});
  LoseAll();
  EXPECT_EQ(books_.Restored().size(), 64u);
  for (const uint64_t number : books_.Restored()) books_.Announce(number, {"w1"});
  books_.Pass(300'000);
  EXPECT_EQ(books_.Restored().size(), 36u);
}

TEST_F(LoggedBlocksTest, ABlockThatACheckpointCoversIsNotRead) {
  books_.Announce(1, {"w0"});
  books_.Cover(1);
  LoseAll();
  EXPECT_EQ(books_.Restored(), Numbers{});
}

TEST_F(LoggedBlocksTest, ABlockThatWasAddedBeforeItWasStoredCountsAsStoredOnceItIsSaidToBe) {
  Books books;
  books.Greet();
  books.Announce(1, {"w0"});
  books.MakeLogged();
  books.Announce(1, {"w0"});
  for (const char* worker : {"w0", "w1"}) books.Inventory(worker, UINT64_MAX);
  books.Pass(300'000);
  EXPECT_EQ(books.Restored(), Numbers{1});
}

// All nodes died before it was in the store, and the job waited for somebody to accept the loss.
TEST_F(LoggedBlocksTest, ABlockOfAReceiverThatIsNoMoreIsAddedWhenItIsInTheStore) {
  Books books;
  books.MakeLogged(/*stored=*/false);
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number();
  const uint64_t second = books.SessionTo("w1")->number();
  books.Inventory("w0", first, {1, 2});
  books.Inventory("w1", second);
  books.Pass(300'000);
  EXPECT_TRUE(books.AwaitsBlocks());  // a drain would end without them
  books.MakeLogged();
  books.Announce(2, {"w0"});  // which waits for the one before it
  books.Pass(300'000);
  books.MakeDurable();
  EXPECT_EQ(books.state().waiting_blocks().size(), 0u);
  books.Announce(1, {"w0"});
  books.Pass(300'000);
  books.MakeDurable();
  EXPECT_EQ(books.state().waiting_blocks().size(), 2u);
  EXPECT_FALSE(books.AwaitsBlocks());
}

// Its block would no longer count as stored when it is added at last, and be lost with all nodes.
TEST_F(LoggedBlocksTest, AReceiverIsNotForgottenWhileABlockOfItMayBeAdded) {
  Books books;
  books.MakeLogged(/*stored=*/false);
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number();
  const uint64_t second = books.SessionTo("w1")->number();
  books.Inventory("w0", first, {1});
  books.Inventory("w1", second);
  books.Orphan(5);
  books.OrphanLater(30, 5);
  books.MakeDurable();
  EXPECT_FALSE(books.state().Forgotten(0, 5));
}

// Its object may be collected: who relied on it would be wrong.
TEST_F(LoggedBlocksTest, AForgottenReceiversBlockOfAReliableSourceIsRefused) {
  books_.MakeReliable();
  books_.Orphan(5);
  books_.OrphanLater(30, 5);
  books_.Announce(1, {"w0"});
  EXPECT_FALSE(books_.Accepted());
}

TEST_F(LoggedBlocksTest, AForgottenReceiversOtherBlocksDoNotCountAsStored) {
  books_.Orphan(5);
  books_.OrphanLater(30, 5);
  books_.Announce(1, {"w0"});
  EXPECT_TRUE(books_.Accepted());
  LoseAll();
  EXPECT_TRUE(books_.Lost(1));
}

// They were added as if the log had not got them, and lost with all nodes.
TEST_F(LoggedBlocksTest, BlocksOfAReceiverThatHasJustEndedCountAsStored) {
  books_.Orphan(5);
  books_.OrphanLater(20, 5);
  books_.Announce(1, {"w0"});
  books_.OrphanLater(10, 5);
  books_.OrphanLater(20, 5);
  books_.Announce(2, {"w0"});
  LoseAll();
  EXPECT_FALSE(books_.Lost(1));
  EXPECT_FALSE(books_.Lost(2));
}

TEST_F(LoggedBlocksTest, WhoIsForgottenIsSoAfterARelaunch) {
  books_.Orphan(5);
  books_.OrphanLater(30, 5);
  books_.MakeDurable();
  JobState restored;
  restored.Restore(books_.state().Keep(1));
  EXPECT_TRUE(restored.Forgotten(0, 5));
  EXPECT_FALSE(restored.Forgotten(0, 6));
}

}  // namespace
}  // namespace sluice
