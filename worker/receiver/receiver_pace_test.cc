// How receivers are held to a rate.
#include "worker/receiver/receiver_core_fixture.h"

namespace sluice {
namespace {

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

}  // namespace
}  // namespace sluice
