#include "worker/receiver/receiver_core.h"

#include <gtest/gtest.h>

#include <list>

#include "worker/receiver/buffer_pools.h"

namespace sluice {
namespace {

constexpr uint32_t kStream = 4;
constexpr uint64_t kIncarnation = 44;
using Words = std::vector<std::string>;

// A receiver executor with one stream. Its daemon and its job driver answer when the test says so.
class ReceiverCoreTest : public testing::Test {
 protected:
  explicit ReceiverCoreTest(HeapPoolOptions options = {}, double max_rate = 0,
                            double initial_rate = 0)
      : pool_(NewHeapPool(options)),
        core_({7, {{kStream, kIncarnation}}, "daemon", 200'000, max_rate, initial_rate},
              pool_.get()) {}

  void Take(receiver::Commands commands) {
    for (auto& command : commands) Take(command);
  }
  void Take(receiver::Command& command) {
    if (auto* send = std::get_if<Send>(&command)) {
      const proto::Envelope& e = send->message;
      for (const auto& slice : e.seal_slices().slices()) {
        std::vector<uint32_t> scratch;
        const auto view = DecodeBatch(slice.inlined(), scratch);
        std::string word = "seal " + std::to_string(slice.block().name().number()) + ":";
        for (uint32_t i = 0; i < view->count; ++i) word += " " + std::string(view->record(i));
        for (const auto& range : slice.block().producers()) {
          word += " (" + range.producer() + " " + std::to_string(range.first()) + "-" +
                  std::to_string(range.last()) + ")";
        }
        words_.push_back(word);
        last_sealed_ = view->data;
        offsets_[slice.block().name().number()] = slice.arena_offset();
      }
      if (e.has_producer_query()) words_.push_back("ask " + e.producer_query().producer());
      if (e.has_seal_done()) words_.push_back("seal done");
    } else if (auto* completed = std::get_if<receiver::Completed>(&command)) {
      words_.push_back("request " + std::to_string(completed->id) +
                       (completed->last.has_value() ? " logged " + std::to_string(*completed->last)
                                                    : " failed"));
    } else if (auto* answered = std::get_if<receiver::Answered>(&command)) {
      words_.push_back("answer " + std::to_string(answered->last));
    } else if (std::holds_alternative<receiver::RoomFreed>(command)) {
      words_.push_back("room");
    }
  }
  Words Done() { return std::exchange(words_, {}); }

  ReceiverCore::Stored Store(const std::string& record) {
    receiver::Commands out;
    const auto stored = core_.Store(now_, kStream, record, out);
    Take(std::move(out));
    return stored;
  }
  // Records first, first + 1, … last as text.
  void Request(uint64_t id, const std::string& producer, int64_t first, int64_t last) {
    RecordBatch& batch = batches_.emplace_back();
    for (int64_t n = first; n <= last; ++n) batch.Append(producer + std::to_string(n));
    Take(core_.Step(now_, receiver::StoreRequest{id, kStream, batch.view(), producer, first}));
  }
  // The same, as a batch that may be taken. Returns where its records were.
  const char* RequestWhole(uint64_t id, const std::string& producer, int64_t first, int64_t last) {
    EncodedBatch& batch = whole_.emplace_back();
    batch.Reserve(6, 3);  // exactly
    for (int64_t n = first; n <= last; ++n) batch.Append(producer + std::to_string(n));
    const BatchView view = batch.view();
    Take(core_.Step(now_, receiver::StoreRequest{id, kStream, view, producer, first, &batch}));
    return view.data;
  }
  void After(int64_t ms) {
    now_ += ms * 1000;
    Take(core_.Step(now_, receiver::Tick{}));
  }
  void Receive(const proto::Envelope& e) { Take(core_.Step(now_, receiver::Received{e})); }
  void Answer(const std::string& producer, int64_t last) {
    proto::Envelope e;
    auto* answer = e.mutable_producer_answer();
    answer->set_stream(kStream);
    answer->set_incarnation(kIncarnation);
    answer->set_producer(producer);
    answer->set_last(last);
    Receive(e);
  }
  void Stored(uint64_t number) {
    proto::Envelope e;
    e.mutable_sealed_slices()->add_arena_offsets(offsets_.at(number));
    Receive(e);
  }
  void Verdict(uint64_t number, bool accepted, std::map<std::string, int64_t> last = {}) {
    proto::Envelope e;
    auto* name = e.mutable_block_verdict()->mutable_name();
    name->set_stream(kStream);
    name->set_incarnation(kIncarnation);
    name->set_number(number);
    e.mutable_block_verdict()->set_accepted(accepted);
    for (const auto& [producer, value] : last) {
      auto* entry = e.mutable_block_verdict()->add_last();
      entry->set_producer(producer);
      entry->set_last(value);
    }
    Receive(e);
  }

  std::unique_ptr<BufferPool> pool_;
  ReceiverCore core_;
  MonotonicTime now_ = 1'000'000;
  Words words_;
  std::map<uint64_t, uint64_t> offsets_;
  std::list<RecordBatch> batches_;
  std::list<EncodedBatch> whole_;
  const char* last_sealed_ = nullptr;  // only to be compared
};

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

class PacedReceiverCoreTest : public ReceiverCoreTest {
 protected:
  explicit PacedReceiverCoreTest(double max_rate = 0, double initial_rate = 0)
      : ReceiverCoreTest({}, max_rate, initial_rate) {}
  void Rate(double records_per_s) {
    proto::Envelope e;
    e.mutable_receiver_rates()->set_job_instance(7);
    auto& rate = *e.mutable_receiver_rates()->add_rates();
    rate.set_stream(kStream);
    rate.set_records_per_s(records_per_s);
    Receive(e);
  }
  int64_t WaitMs() { return (core_.NextStoreUs(now_, kStream) - now_ + 999) / 1000; }
};

TEST_F(PacedReceiverCoreTest, RecordsThatAreStoredOneByOneAreHeldToTheRate) {
  EXPECT_FALSE(core_.paced());
  Rate(100);
  EXPECT_EQ(Done(), (Words{"room"}));  // whoever waited for the former rate looks again
  EXPECT_TRUE(core_.paced());
  int stored = 0;
  for (int ms = 0; ms < 1'000; ++ms) {
    for (; WaitMs() == 0; ++stored) Store("a");
    After(1);
  }
  EXPECT_GE(stored, 99);
  EXPECT_LE(stored, 102);
}

// All that waited was one block, and its batch late, whatever the rate was.
TEST_F(PacedReceiverCoreTest, OfReliableRecordsThatWaitABlockTakesWhatTheRateGives) {
  Rate(20);  // four in a block interval
  Request(1, "p", 1, 2);
  Request(2, "p", 3, 4);
  Request(3, "p", 5, 6);
  Answer("p", 0);
  EXPECT_EQ(Done(), (Words{"room", "ask p", "seal 1: p1 p2 p3 p4 (p 1-4)"}));
  Verdict(1, true);
  Stored(1);
  EXPECT_EQ(Done(), (Words{"request 1 logged 4", "request 2 logged 4", "room"}));
  for (int ms = 0; ms < 180; ms += 10) After(10);
  EXPECT_EQ(Done(), Words{});  // a fifth of a second is owed for the first four
  After(30);
  EXPECT_EQ(Done(), (Words{"seal 2: p5 p6 (p 5-6)"}));
}

// A source that stores a file at a time, and was ended between the halves of one, counted its first
// half again.
TEST_F(PacedReceiverCoreTest, WhatIsStoredInOneCallIsNotCutByTheRate) {
  Rate(20);  // four in a block interval
  Request(1, "p", 1, 3);
  Request(2, "p", 4, 9);
  Answer("p", 0);
  EXPECT_EQ(Done(), (Words{"room", "ask p", "seal 1: p1 p2 p3 (p 1-3)"}));
  Verdict(1, true);
  Stored(1);
  EXPECT_EQ(Done(), (Words{"request 1 logged 3", "room"}));
  After(200);
  EXPECT_EQ(Done(), (Words{"seal 2: p4 p5 p6 p7 p8 p9 (p 4-9)"}));
}

// Ten thousand seconds would be owed for a block that was taken at one record a second.
TEST_F(PacedReceiverCoreTest, WhatIsOwedIsMadeUpForAtTheNewRate) {
  Rate(1);
  receiver::Commands out;
  RecordBatch records;
  for (int i = 0; i < 10'000; ++i) records.Append("a");
  uint32_t from = 0;
  EXPECT_EQ(core_.StoreBlock(now_, kStream, records.view(), from, out),
            ReceiverCore::Stored::kYes);
  EXPECT_GT(WaitMs(), 9'000'000);
  Rate(100'000);
  EXPECT_LE(WaitMs(), 100);
  Rate(0);
  EXPECT_EQ(WaitMs(), 0);
}

class BoundedReceiverCoreTest : public PacedReceiverCoreTest {
 protected:
  BoundedReceiverCoreTest() : PacedReceiverCoreTest(/*max_rate=*/100, /*initial_rate=*/10) {}
};

TEST_F(BoundedReceiverCoreTest, BeginsAtTheInitialRateAndNeverPassesTheGreatest) {
  const auto wait_of_a_hundred = [&] {
    receiver::Commands out;
    RecordBatch records;
    for (int i = 0; i < 100; ++i) records.Append("a");
    uint32_t from = 0;
    core_.StoreBlock(now_, kStream, records.view(), from, out);
    return WaitMs();
  };
  EXPECT_NEAR(static_cast<double>(wait_of_a_hundred()), 10'000, 20);
  now_ += 10'000'000;
  Rate(1'000'000);
  EXPECT_NEAR(static_cast<double>(wait_of_a_hundred()), 1'000, 20);
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
