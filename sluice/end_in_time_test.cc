#include "sluice/end_in_time.h"

#include <future>
#include <iostream>

#include "gtest/gtest.h"
#include "sluice/sluice.h"

namespace sluice {
namespace {

using testing::ExitedWithCode;

void NeverReturn() { std::promise<void>().get_future().wait(); }

class EndInTimeTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(EndInTimeTest, WhatDoesNotEndIsEndedBehindItsLastWord) {
  const auto end = [] {
    const EndInTime in_time(std::chrono::milliseconds(1), 3, [] { std::cerr << "the word\n"; });
    NeverReturn();
  };
  EXPECT_EXIT(end(), ExitedWithCode(3), "the word");
}

TEST_F(EndInTimeTest, WhatEndsInOrderIsNotWaitedFor) {
  const EndInTime in_time(std::chrono::hours(1), 3, [] { std::cerr << "the word\n"; });
}

class Hangs : public StreamingListener {
 public:
  void OnBatchStarted(const BatchInfo&) override { NeverReturn(); }
};

void Fail(StreamingContext& ssc) {
  RecordQueue<int64_t> numbers;
  numbers.Push({1});
  ssc.AddListener(std::make_shared<Hangs>());
  ssc.QueueStream(numbers)
      .Map([](const int64_t&) -> int64_t { throw std::runtime_error("it always throws"); })
      .Print();
}

// Its process stayed for ever, and nobody else could have its name.
TEST_F(EndInTimeTest, AFailedJobEndsAlthoughAFunctionOfItsProgramNeverReturns) {
  const auto run = [] {
    char name[] = "fails", slots[] = "--slots=1";
    char* words[] = {name, slots, nullptr};
    const JobOptions options{.name = "fails", .batch_interval = std::chrono::milliseconds(10)};
    std::_Exit(10 + RunJob(2, words, options, Fail));
  };
  EXPECT_EXIT(run(), ExitedWithCode(1), "it always throws");
}

}  // namespace
}  // namespace sluice
