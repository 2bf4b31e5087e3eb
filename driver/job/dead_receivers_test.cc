// What receivers that are no more have left with workers: what is added, what is waited for.
#include <gtest/gtest.h>

#include "driver/job/block_desk_fixture.h"

namespace sluice {
namespace {

using Names = std::vector<std::string>;

// Both workers are asked what they have.
void Answer(Books& books, const std::vector<uint64_t>& w0, const std::vector<uint64_t>& w1) {
  books.Pass(1'000);
  ASSERT_NE(books.SessionTo("w0"), nullptr);
  ASSERT_NE(books.SessionTo("w1"), nullptr);
  books.Inventory("w0", books.SessionTo("w0")->number(), w0);
  books.Inventory("w1", books.SessionTo("w1")->number(), w1);
}

// A job ended while a worker had a block that waited for the one before it, and nobody took it.
TEST(DeadReceiversTest, ADrainTakesWhatWaitsBehindABlockOfASilentWorker) {
  Books books;
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number(), second = books.SessionTo("w1")->number();
  books.Inventory("w1", second, {1});  // which falls silent then
  for (int i = 0; i < 15; ++i) {
    books.Pass(100'000);
    books.Beat("w0");
  }
  books.Inventory("w0", first, {2});
  books.Pass(300'000);
  books.MakeDurable();
  EXPECT_TRUE(books.AwaitsBlocks());
  EXPECT_EQ(books.state().waiting_blocks().size(), 0u);
  books.BeginDrain();
  books.Pass(300'000);
  books.Pass(1'000);  // workers are asked once more for what is before it
  ASSERT_NE(books.SessionTo("w0"), nullptr);
  books.Inventory("w0", books.SessionTo("w0")->number(), {2});
  books.Pass(300'000);
  books.MakeDurable();
  EXPECT_EQ(books.state().waiting_blocks().size(), 1u);
  EXPECT_FALSE(books.AwaitsBlocks());
}

// It waited for its predecessor for ever, though nobody had that any more.
TEST(DeadReceiversTest, ACopyBehindAGapIsTakenWhenItsReceiverIsDead) {
  Books books;
  books.Greet();
  books.Announce(1, {"w0", "w1"});
  books.Announce(3, {"w1"});
  books.Pass(300'000);
  Answer(books, {1}, {1, 3});
  books.Pass(300'000);
  books.MakeDurable();
  EXPECT_EQ(books.state().waiting_blocks().size(), 2u);
  EXPECT_EQ(books.Holders(3), Names{"w1"});
  books.Announce(3, {"w1"});
  EXPECT_TRUE(books.Accepted());
}

// Inventories from before it was stored said nothing of it. It was refused when it was announced,
// behind the next one.
TEST(DeadReceiversTest, ABlockThatAWorkerHasNotAnnouncedYetIsAskedForBeforeItCountsAsAGap) {
  Books books;
  books.Greet();
  books.Announce(2, {"w1"});
  books.Pass(300'000);
  books.MakeDurable();
  EXPECT_EQ(books.state().waiting_blocks().size(), 0u);
  Answer(books, {1}, {2});
  books.Pass(300'000);
  books.MakeDurable();
  EXPECT_EQ(books.state().waiting_blocks().size(), 2u);
}

TEST(DeadReceiversTest, AGapIsNotTakenForOneBeforeAllInventoriesAreIn) {
  Books books;
  books.Greet();
  books.Drain("w1");
  books.Pass(1'000);  // with new sessions
  const uint64_t first = books.SessionTo("w0")->number(), second = books.SessionTo("w1")->number();
  books.Announce(3, {"w1"});
  books.Inventory("w1", second, {3});
  books.Pass(300'000);
  books.MakeDurable();
  EXPECT_EQ(books.state().waiting_blocks().size(), 0u);
  books.Inventory("w0", first, {1, 2});
  books.Pass(300'000);
  books.MakeDurable();
  EXPECT_EQ(books.state().waiting_blocks().size(), 3u);
}

// The log had it from then on, and the job waited for somebody to accept its loss.
TEST(DeadReceiversTest, WhatADeadReceiverLeftWhereNobodyIsAnyMoreIsNotAdded) {
  Books books;
  books.Pass(1'000);
  books.Inventory("w0", books.SessionTo("w0")->number(), {2});
  books.Restart("w0");
  books.Pass(1'000);
  books.Inventory("w0", books.SessionTo("w0")->number(), {}, 0, /*incarnation=*/2);
  books.Inventory("w1", books.SessionTo("w1")->number(), {1});
  books.Pass(300'000);
  books.MakeDurable();
  EXPECT_EQ(books.state().waiting_blocks().size(), 1u);
  EXPECT_EQ(books.Holders(1), Names{"w1"});
}

TEST(DeadReceiversTest, WhatADeadReceiverLeftAtASilentWorkerIsAddedWhenThatIsBack) {
  Books books;
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number(), second = books.SessionTo("w1")->number();
  books.Inventory("w0", first, {1});
  for (int i = 0; i < 15; ++i) {
    books.Pass(100'000);
    books.Beat("w1");
  }
  books.Inventory("w1", second, {2});
  for (int i = 0; i < 15; ++i) {
    books.Pass(100'000);
    books.Beat("w1");
  }
  books.MakeDurable();
  EXPECT_EQ(books.state().waiting_blocks().size(), 0u);
  books.Inventory("w0", first, {1});
  books.Pass(300'000);
  books.MakeDurable();
  EXPECT_EQ(books.state().waiting_blocks().size(), 2u);
}

}  // namespace
}  // namespace sluice
