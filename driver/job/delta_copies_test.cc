// Further copies of blocks of deltas: who is asked for them, and until when.
#include <gtest/gtest.h>

#include "driver/job/block_desk_fixture.h"

namespace sluice {
namespace {

using Names = std::vector<std::string>;

// The worker with the other copy was lost, and so were the deltas with the next one.
TEST(DeltaCopiesTest, OneThatLostACopyIsCopiedAgain) {
  Books books;
  books.Greet();
  books.AnnounceDelta(1, {"w0", "w1"});
  books.DecideDelta(1000, 1);
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), Names());
  books.Restart("w1");
  books.Pass(1'000);
  books.Inventory("w1", books.SessionTo("w1")->number(), {}, 0, 2);
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), Names{"1: w0 to w1"});
  books.AnnounceDelta(1, {"w0", "w1"}, {1, 2});
  books.Pass(4'000'000);
  EXPECT_EQ(books.CopiesAsked(), Names());
}

// A new job driver knows of one from the log, and w0 has its only copy.
void TakeUpDelta(Books& books) {
  books.DecideDelta(1000, 1);
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number();
  const uint64_t second = books.SessionTo("w1")->number();
  books.Inventory("w0", first, {}, 0, kFirstIncarnation, {1});
  books.Inventory("w1", second);
}

TEST(DeltaCopiesTest, ANewJobDriverHasThoseCopiedThatTheLogNames) {
  Books books;
  TakeUpDelta(books);
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), Names{"1: w0 to w1"});
}

// Also before the log says so, and the delta is released.
TEST(DeltaCopiesTest, OneThatACheckpointOutdatesIsNot) {
  Books books;
  TakeUpDelta(books);
  books.Seal(1000);
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), Names());
}

// A worker may be asked for so many copies of deltas that its daemon has no room for another.
TEST(DeltaCopiesTest, InputDoesNotWaitForCopiesOfDeltas) {
  Books books;
  books.Greet();
  for (uint64_t number = 1; number <= 300; ++number) books.AnnounceDelta(number, {"w0"});
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked().size(), 128u);
  books.Announce(1, {"w0"});
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), Names{"1: w0 to w1"});
}

// The daemon with the only copies was started anew before the next checkpoint.
class LostDeltasTest : public testing::Test {
 protected:
  LostDeltasTest() {
    books_.Greet();
    books_.DecideDelta(1000, 1);
    for (uint64_t number = 1; number <= 128; ++number) books_.AnnounceDelta(number, {"w0"});
    books_.Pass(300'000);
    EXPECT_EQ(books_.CopiesAsked().size(), 128u);
    books_.Restart("w0");
    books_.Pass(1'000);
    books_.Inventory("w0", books_.SessionTo("w0")->number(), {}, 0, 2);
  }
  Books books_;
};

TEST_F(LostDeltasTest, ACheckpointOutdatesThoseThatNobodyHas) {
  EXPECT_TRUE(books_.KnowsDelta(1));
  EXPECT_TRUE(books_.KnowsDelta(2));
  books_.SealUpTo(1000);
  EXPECT_FALSE(books_.KnowsDelta(1));
  EXPECT_FALSE(books_.KnowsDelta(2));
}

TEST_F(LostDeltasTest, TheirCopiesAreNotWaitedForBehindACheckpoint) {
  books_.SealUpTo(1000);
  books_.AnnounceDelta(200, {"w0"}, {2});
  books_.Pass(300'000);
  EXPECT_EQ(books_.CopiesAsked(), Names{"200: w0 to w1"});
}

// A rolling restart waits for copies of input, and not for what the next checkpoint outdates.
TEST(DeltaCopiesTest, NoneCountsAsABlockWithTooFewCopies) {
  Books books;
  books.Greet();
  books.Pass(300'000);
  books.AnnounceDelta(1, {"w0"});
  EXPECT_EQ(books.under_replicated(), 0u);
  books.Pass(300'000);
  EXPECT_EQ(books.CopiesAsked(), Names{"1: w0 to w1"});
  EXPECT_EQ(books.under_replicated(), 0u);
}

}  // namespace
}  // namespace sluice
