#include "worker/receiver/receiver_core_fixture.h"

namespace sluice {
namespace {

TEST_F(ReceiverCoreTest, AWholeStoreBecomesABlockWithoutACopy) {
  RequestWhole(1, "p", 1, 3);
  Done();
  Answer("p", 0);
  EXPECT_EQ(Done(), (Words{"seal 1: p1 p2 p3 (p 1-3)"}));
  Stored(1);
  Verdict(1, true);
  EXPECT_EQ(Done(), (Words{"room", "request 1 logged 3"}));
  const char* records = RequestWhole(2, "p", 4, 6);
  EXPECT_EQ(Done(), (Words{"seal 2: p4 p5 p6 (p 4-6)"}));
  EXPECT_EQ(last_sealed_, records);
}

TEST_F(ReceiverCoreTest, AWholeStoreThatBeginsWithLoggedRecordsIsTrimmed) {
  RequestWhole(1, "p", 1, 3);
  Done();
  Answer("p", 2);
  EXPECT_EQ(Done(), (Words{"seal 1: p3 (p 3-3)"}));
}

// The batch is gone with the block that was refused: whoever stored it sends it again.
TEST_F(ReceiverCoreTest, AWholeStoreThatWasRefusedFails) {
  RequestWhole(1, "p", 1, 3);
  Answer("p", 0);
  Stored(1);
  Done();
  Verdict(1, false, {{"p", 2}});
  EXPECT_EQ(Done(), (Words{"request 1 failed"}));
  RequestWhole(2, "p", 1, 3);
  EXPECT_EQ(Done(), (Words{"seal 2: p3 (p 3-3)"}));
}

TEST_F(ReceiverCoreTest, SealsAtTheBlockIntervalAndAtTheTick) {
  Store("a");
  Store("b");
  After(100);
  EXPECT_EQ(Done(), Words{});
  After(100);
  EXPECT_EQ(Done(), (Words{"seal 1: a b"}));
  Store("c");
  proto::Envelope tick;
  tick.mutable_seal_tick()->set_job_instance(7);
  Receive(tick);
  EXPECT_EQ(Done(), (Words{"seal 2: c", "seal done"}));
  Receive(tick);
  EXPECT_EQ(Done(), (Words{"seal done"}));
}

class SmallReceiverCoreTest : public ReceiverCoreTest {
 protected:
  SmallReceiverCoreTest() : ReceiverCoreTest({.block_bytes = 4, .store_bytes = 4, .buffers = 2}) {}
};

TEST_F(SmallReceiverCoreTest, SealsFullBuffersAndWaitsWhenNoneIsFree) {
  EXPECT_EQ(Store("aaaa"), ReceiverCore::Stored::kYes);
  EXPECT_EQ(Store("bbbb"), ReceiverCore::Stored::kYes);
  EXPECT_EQ(Store("cccc"), ReceiverCore::Stored::kNoRoom);
  EXPECT_EQ(Done(), (Words{"seal 1: aaaa", "seal 2: bbbb"}));
  Stored(1);
  EXPECT_EQ(Done(), (Words{"room"}));
  EXPECT_EQ(Store("cccc"), ReceiverCore::Stored::kYes);
}

TEST_F(SmallReceiverCoreTest, TellsHowManyRecordsItHasTakenSealedOrNotOrDropped) {
  EXPECT_TRUE(core_.taken().empty());
  Store("aaaa");
  Store("bb");
  Store("bb");
  EXPECT_EQ(Store("cccc"), ReceiverCore::Stored::kNoRoom);  // not taken
  EXPECT_EQ(Store(std::string(kRecordBytesMax + 1, 'x')), ReceiverCore::Stored::kTooLarge);
  ASSERT_EQ(core_.taken().size(), 1u);
  EXPECT_EQ(core_.taken()[0].records(), 4u);
  EXPECT_EQ(core_.taken()[0].incarnation(), kIncarnation);
}

TEST_F(ReceiverCoreTest, AsksForAProducerOnceAndUntilAnswered) {
  Request(1, "p", 1, 2);
  Request(2, "p", 3, 3);
  EXPECT_EQ(Done(), (Words{"ask p"}));
  After(200);
  EXPECT_EQ(Done(), (Words{"ask p"}));
  Answer("p", 0);
  EXPECT_EQ(Done(), (Words{"seal 1: p1 p2 p3 (p 1-3)"}));
  Answer("p", 0);
  Verdict(1, true);
  EXPECT_EQ(Done(), (Words{"request 1 logged 3", "request 2 logged 3"}));
}

TEST_F(ReceiverCoreTest, GathersWhatComesWhileABlockIsOnItsWay) {
  Request(1, "p", 1, 1);
  Request(2, "q", 1, 1);
  Answer("p", 0);
  EXPECT_EQ(Done(), (Words{"ask p", "ask q", "seal 1: p1 (p 1-1)"}));
  Answer("q", 0);
  Request(3, "p", 2, 3);
  EXPECT_EQ(Done(), Words{});
  Verdict(1, true);
  EXPECT_EQ(Done(), (Words{"request 1 logged 1", "seal 2: q1 p2 p3 (q 1-1) (p 2-3)"}));
  Verdict(2, true);
  EXPECT_EQ(Done(), (Words{"request 2 logged 1", "request 3 logged 3"}));
}

TEST_F(ReceiverCoreTest, DropsWhatIsLoggedTrimsWhatOverlapsAndRefusesGaps) {
  struct Case {
    int64_t first, last;
    Words expected;
  };
  const std::vector<Case> cases = {
      {1, 5, {"request 9 logged 10"}},
      {10, 10, {"request 9 logged 10"}},
      {9, 12, {"seal 1: p11 p12 (p 11-12)"}},
      {11, 11, {"seal 1: p11 (p 11-11)"}},
      {12, 13, {"request 9 failed"}},
      {0, 3, {"request 9 failed"}},
  };
  for (const Case& c : cases) {
    auto pool = NewHeapPool();
    ReceiverCore core({7, {{kStream, kIncarnation}}, "daemon", 200'000}, pool.get());
    Take(core.Step(now_, receiver::Ask{1, kStream, "p"}));
    proto::Envelope e;
    auto* answer = e.mutable_producer_answer();
    answer->set_stream(kStream);
    answer->set_incarnation(kIncarnation);
    answer->set_producer("p");
    answer->set_last(10);
    Take(core.Step(now_, receiver::Received{e}));
    EXPECT_EQ(Done(), (Words{"ask p", "answer 10"}));
    RecordBatch batch;
    for (int64_t n = c.first; n <= c.last; ++n) batch.Append("p" + std::to_string(n));
    Take(core.Step(now_, receiver::StoreRequest{9, kStream, batch.view(), "p", c.first}));
    EXPECT_EQ(Done(), c.expected) << c.first << "-" << c.last;
  }
}

TEST_F(ReceiverCoreTest, WhatIsSentAgainWhileOnItsWayIsStoredOnce) {
  Request(1, "p", 1, 2);
  Answer("p", 0);
  Request(2, "p", 1, 3);
  EXPECT_EQ(Done(), (Words{"ask p", "seal 1: p1 p2 (p 1-2)"}));
  Verdict(1, true);
  EXPECT_EQ(Done(), (Words{"request 1 logged 2", "seal 2: p3 (p 3-3)"}));
  Verdict(2, true);
  EXPECT_EQ(Done(), (Words{"request 2 logged 3"}));
}

TEST_F(ReceiverCoreTest, ARefusedBlockIsTrimmedAndSealedAgain) {
  Request(1, "p", 1, 3);
  Request(2, "q", 1, 1);
  Answer("q", 0);
  Done();
  Answer("p", 0);
  Verdict(1, true);  // q1
  EXPECT_EQ(Done(), (Words{"request 2 logged 1", "seal 2: p1 p2 p3 (p 1-3)"}));
  Verdict(2, false, {{"p", 2}});  // 1 and 2 came another way
  EXPECT_EQ(Done(), (Words{"seal 3: p3 (p 3-3)"}));
  Verdict(2, true);  // of a block that is gone
  EXPECT_EQ(Done(), Words{});
  Verdict(3, true);
  EXPECT_EQ(Done(), (Words{"request 1 logged 3"}));
}

TEST_F(ReceiverCoreTest, RefusedForEverFailsInTheEnd) {
  Request(1, "", 0, 1);
  EXPECT_EQ(Done(), (Words{"seal 1: 0 1"}));
  for (uint64_t n = 1; n <= 5; ++n) {
    Verdict(n, false);
    EXPECT_EQ(Done(), Words{});
    After(150);
    EXPECT_EQ(Done(), (Words{"seal " + std::to_string(n + 1) + ": 0 1"}));
  }
  Verdict(6, false);
  EXPECT_EQ(Done(), (Words{"request 1 failed"}));
}

TEST_F(SmallReceiverCoreTest, ARequestLargerThanABlockTakesSeveral) {
  Request(1, "p", 1, 5);
  Answer("p", 0);
  Verdict(1, true);
  Stored(1);
  Stored(2);
  Verdict(2, true);
  Verdict(3, true);
  EXPECT_EQ(Done(), (Words{"ask p", "seal 1: p1 p2 (p 1-2)", "seal 2: p3 p4 (p 3-4)", "room",
                           "room", "seal 3: p5 (p 5-5)", "request 1 logged 5"}));
  Stored(3);
  EXPECT_TRUE(core_.idle());
}

TEST_F(SmallReceiverCoreTest, UnnumberedRecordsAreStoredAtLeastOnce) {
  Request(1, "", 10, 12);
  Verdict(1, true);
  Stored(1);
  Verdict(2, true);
  EXPECT_EQ(Done(), (Words{"seal 1: 10 11", "seal 2: 12", "room", "request 1 logged 0"}));
}

class SmallBlocksTest : public ReceiverCoreTest {
 protected:
  SmallBlocksTest()
      : ReceiverCoreTest({.store_records = 2, .block_records = 2, .buffers = 2}) {}
  // Stores words as a block, from this one on; where it came to.
  uint32_t Block(const Words& words, uint32_t from = 0) {
    RecordBatch batch;
    for (const std::string& word : words) batch.Append(word);
    receiver::Commands out;
    stored_ = core_.StoreBlock(now_, kStream, batch.view(), from, out);
    Take(std::move(out));
    return from;
  }
  ReceiverCore::Stored stored_ = ReceiverCore::Stored::kYes;
};

TEST_F(SmallBlocksTest, AStoredBlockIsSealedAtOnceBehindWhatWasOpen) {
  Store("a");
  EXPECT_EQ(Block({"b", "c"}), 2u);
  EXPECT_EQ(Done(), (Words{"seal 1: a", "seal 2: b c"}));
}

// A raw socket's losses were not counted.
TEST_F(SmallBlocksTest, RecordsOfStoredBlocksCountAsTaken) {
  Block({"b", "c"});
  ASSERT_EQ(core_.taken().size(), 1u);
  EXPECT_EQ(core_.taken()[0].records(), 2u);
}

TEST_F(SmallBlocksTest, WhatDoesNotFitOneBlockGoesIntoTheNext) {
  const Words words{"a", "b", "c"};
  EXPECT_EQ(Block(words), 2u);
  EXPECT_EQ(Block(words, 2), 3u);
  EXPECT_EQ(Done(), (Words{"seal 1: a b", "seal 2: c"}));
  EXPECT_EQ(Block(words), 0u);  // no buffer is free
  EXPECT_EQ(stored_, ReceiverCore::Stored::kNoRoom);
  Stored(1);
  EXPECT_EQ(Block(words), 2u);
  EXPECT_EQ(Done(), (Words{"room", "seal 3: a b"}));
}

TEST_F(SmallBlocksTest, ARecordAboveTheLargestSizeIsNoBlock) {
  EXPECT_EQ(Block({std::string(kRecordBytesMax + 1, 'x'), "b"}), 0u);
  EXPECT_EQ(stored_, ReceiverCore::Stored::kTooLarge);
  EXPECT_EQ(Done(), Words{});
  ASSERT_EQ(core_.taken().size(), 1u);
  EXPECT_EQ(core_.taken()[0].records(), 1u);
}

}  // namespace
}  // namespace sluice
