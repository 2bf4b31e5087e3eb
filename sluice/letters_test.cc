// Records at which user code throws, under bad_records=aside: what is set aside, what stays, and
// what becomes of state.
#include <google/protobuf/text_format.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <stdexcept>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/log.pb.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;

using Totals = std::vector<std::pair<std::string, int64_t>>;

int64_t Checked(int64_t number) {
  if (number < 0) throw std::runtime_error("negative: " + std::to_string(number));
  return number;
}
std::pair<std::string, int64_t> Parity(int64_t number) {
  return {number % 2 == 0 ? "even" : "odd", number};
}

class LettersTest : public testing::Test {
 protected:
  LettersTest() : folder_(testing::TempDir() + "/letters_" + std::to_string(getpid()) + "_" +
                          testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(folder_);
  }
  ~LettersTest() override { fs::remove_all(folder_); }

  TestOptions Aside(std::vector<std::pair<std::string, std::string>> conf = {}) const {
    conf.emplace_back("bad_records", "aside");
    conf.emplace_back("checkpoint_interval", "1h");
    return {.conf = std::move(conf), .checkpoint = folder_};
  }
  // All that are in the store, the oldest first.
  std::vector<proto::Letter> Letters() const {
    std::set<std::string> paths;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder_ + "/objects/letters", none)) {
      paths.insert(entry.path());
    }
    std::vector<proto::Letter> letters;
    for (const std::string& path : paths) {
      std::ifstream file(path);
      const std::string text(std::istreambuf_iterator<char>(file), {});
      proto::KeptLetters kept;
      EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &kept)) << path;
      letters.insert(letters.end(), kept.letters().begin(), kept.letters().end());
    }
    return letters;
  }
  static int64_t NumberOf(const std::string& raw) {
    int64_t number = 0;
    EXPECT_EQ(raw.size(), sizeof(number));
    std::memcpy(&number, raw.data(), sizeof(number));
    return number;
  }

  const std::string folder_;
};

TEST_F(LettersTest, ARecordAtWhichMapThrowsIsSetAsideAndTheOthersStayAsTheyAre) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput out(test, numbers.stream().Map(Checked));
  numbers.Push({1, -2, 3, 4, -5, 6});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(1, 3, 4, 6));
  const auto letters = Letters();
  ASSERT_THAT(letters, SizeIs(2));
  EXPECT_EQ(letters[0].batch_ms(), test.batch_ms());
  EXPECT_EQ(letters[0].number(), 1u);
  EXPECT_EQ(letters[1].number(), 2u);
  EXPECT_THAT(letters[0].operator_name(), HasSubstr("Map"));
  EXPECT_EQ(letters[0].error(), "negative: -2");
  EXPECT_EQ(letters[0].source(), "records of the plan");
  EXPECT_EQ(letters[0].record(), 1);
  EXPECT_EQ(NumberOf(letters[0].raw()), -2);
  EXPECT_EQ(NumberOf(letters[1].raw()), -5);
  EXPECT_FALSE(letters[0].source_key().empty());
}

struct Twice {
  using Emits = int64_t;
  template <class Emit>
  void operator()(int64_t number, Emit& emit) const {
    emit(number);
    emit(Checked(number));
  }
};

TEST_F(LettersTest, WhatARecordEmittedBeforeItThrewIsTakenBack) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  const auto doubled = numbers.stream().FlatMap(Twice());
  TestOutput rows(test, doubled);
  TestOutput sums(test, doubled.Map(Parity).ReduceByKey(std::plus<>()));
  numbers.Push({1, -2, 4});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*rows.last(), ElementsAre(1, 1, 4, 4));
  EXPECT_THAT(*sums.last(), UnorderedElementsAre(Pair("odd", 2), Pair("even", 8)));
  EXPECT_THAT(Letters(), SizeIs(1));
}

TEST_F(LettersTest, AFilterThatThrows) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput out(test, numbers.stream().Filter([](int64_t n) { return Checked(n) > 1; }));
  numbers.Push({1, -2, 3});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(3));
  EXPECT_THAT(Letters(), SizeIs(1));
}

TEST_F(LettersTest, ARecordIsSetAsideForAllThatReadItsSource) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput all(test, numbers.stream());
  TestOutput checked(test, numbers.stream().Map(Checked));
  numbers.Push({1, -2, 3});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*all.last(), ElementsAre(1, 3));
  EXPECT_THAT(*checked.last(), ElementsAre(1, 3));
}

TEST_F(LettersTest, AFunctionOfAWholePartitionKeepsTheOthersTogether) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput sums(test, numbers.stream().MapPartitions([](std::span<const int64_t> all) {
    int64_t sum = 0;
    for (const int64_t number : all) sum += Checked(number);
    return std::vector<int64_t>{sum};
  }));
  numbers.Push({1, -2, 3, 4});
  ASSERT_TRUE(test.RunBatch().ok());
  int64_t sum = 0;
  const std::vector<int64_t> parts = *sums.last();
  for (const int64_t part : parts) sum += part;
  EXPECT_EQ(sum, 8);
  EXPECT_THAT(Letters(), SizeIs(1));
}

int64_t SumOfSmall(int64_t a, int64_t b) {
  if (a > 90 || b > 90) throw std::range_error("too large");
  return a + b;
}

TEST_F(LettersTest, AKeyWhoseValuesCannotBeReducedIsSetAsideWithAllOfThem) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput out(test, numbers.stream().Map(Parity).ReduceByKey(SumOfSmall));
  numbers.Push({1, 2, 99, 3, 4, 5});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(Pair("even", 6)));
  const auto letters = Letters();
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].key(), "odd");
  EXPECT_THAT(letters[0].values(), SizeIs(4));
  EXPECT_EQ(letters[0].operator_name(), "ReduceByKey");
  EXPECT_EQ(letters[0].error(), "too large");
  EXPECT_TRUE(letters[0].source_key().empty());
}

TEST_F(LettersTest, AReduceOfADatasetFailsAsAWhole) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput out(test, numbers.stream().Reduce(SumOfSmall));
  numbers.Push({1, 99});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), IsEmpty());
  EXPECT_THAT(Letters(), SizeIs(1));
  numbers.Push({1, 2});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(3));
}

TEST_F(LettersTest, ARowBehindAShuffleIsSetAsideByItself) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput out(test, numbers.stream().Map(Parity).ReduceByKey(std::plus<>()).Map(
                           [](const std::pair<std::string, int64_t>& sum) {
                             return Checked(sum.second);
                           }));
  numbers.Push({1, 2, -8});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(1));
  const auto letters = Letters();
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].error(), "negative: -6");
  EXPECT_THAT(letters[0].source(), HasSubstr("partition "));
  EXPECT_GE(letters[0].record(), 0);
}

std::optional<int64_t> Add(std::span<const int64_t> values, std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t value : values) sum += Checked(value);
  return sum;
}

TEST_F(LettersTest, AKeyAtWhichTheStatesFunctionThrowsKeepsTheStateItHad) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput out(test, numbers.stream().Map(Parity).UpdateStateByKey("totals", Add));
  numbers.Push({1, 2});
  ASSERT_TRUE(test.RunBatch().ok());
  numbers.Push({3, 10, -4});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(Pair("odd", 4)));
  const auto letters = Letters();
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].key(), "even");
  EXPECT_THAT(letters[0].values(), SizeIs(2));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), UnorderedElementsAre(Pair("odd", 4), Pair("even", 2)));
}

TEST_F(LettersTest, AnIdleKeyAtWhichTheStatesFunctionThrowsKeepsItsState) {
  std::atomic<bool> throws = false;
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput out(test,
                 numbers.stream().Map(Parity).UpdateStateByKey(
                     "totals", [&](std::span<const int64_t> values, std::optional<int64_t> total) {
                       if (values.empty() && *total == 2 && throws) {
                         throw std::runtime_error("idle");
                       }
                       return Add(values, total);
                     }));
  numbers.Push({1, 2});
  ASSERT_TRUE(test.RunBatch().ok());
  throws = true;
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(Pair("odd", 1)));
  const auto letters = Letters();
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].key(), "even");
  EXPECT_THAT(letters[0].values(), IsEmpty());
  throws = false;
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), UnorderedElementsAre(Pair("odd", 1), Pair("even", 2)));
}

TEST_F(LettersTest, AKeyAtWhichMapWithStateThrowsKeepsTheStateItHad) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  const auto running = [](const std::string& key, const std::optional<int64_t>& value,
                          State<int64_t>& state) {
    state.Update(state.GetOption().value_or(0) + Checked(*value));
    return std::pair{key, state.Get()};
  };
  TestOutput out(test, numbers.stream().Map(Parity).MapWithState("running", running));
  numbers.Push({1, 2});
  ASSERT_TRUE(test.RunBatch().ok());
  numbers.Push({3, 10, -4});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(Pair("odd", 4)));
  numbers.Push({6});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(Pair("even", 8)));
  EXPECT_THAT(Letters(), SizeIs(1));
}

TEST_F(LettersTest, AWindowLacksWhatWasSetAside) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  const WindowOptions window{.length = std::chrono::seconds(2)};
  TestOutput out(test, numbers.stream().Map(Parity).ReduceByKeyAndWindow(SumOfSmall, window));
  numbers.Push({1, 2});
  ASSERT_TRUE(test.RunBatch().ok());
  numbers.Push({3, 99, 4});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), UnorderedElementsAre(Pair("odd", 1), Pair("even", 6)));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), UnorderedElementsAre(Pair("even", 4)));
}

TEST_F(LettersTest, ANewJobDriverLeavesOutTheSameWhenItRebuildsState) {
  // The record is bad for an output only, which a rebuild does not run.
  const auto build = [](TestContext& test, TestInput<int64_t>& numbers) {
    numbers.stream().Map(Checked).Print();
    return TestOutput(test, numbers.stream().Map(Parity).UpdateStateByKey(
                                "sums", [](std::span<const int64_t> values,
                                           std::optional<int64_t> total) -> std::optional<int64_t> {
                                  int64_t sum = total.value_or(0);
                                  for (const int64_t value : values) sum += value;
                                  return sum;
                                }));
  };
  {
    TestContext test(Aside());
    TestInput<int64_t> numbers(test);
    TestOutput sums = build(test, numbers);
    numbers.Push({2, -4, 6});
    ASSERT_TRUE(test.RunBatch().ok());
    EXPECT_THAT(*sums.last(), ElementsAre(Pair("even", 8)));
  }
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput sums = build(test, numbers);
  numbers.Push({10});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*sums.last(), ElementsAre(Pair("even", 18)));
  EXPECT_THAT(Letters(), SizeIs(1));
}

TEST_F(LettersTest, ListenersHearHowManyWereSetAside) {
  class Counting : public StreamingListener {
   public:
    void OnBatchCompleted(const BatchInfo& batch) override { letters += batch.letters; }
    std::atomic<uint64_t> letters = 0;
  };
  const auto counting = std::make_shared<Counting>();
  {
    TestContext test(Aside());
    TestInput<int64_t> numbers(test);
    test.ssc().AddListener(counting);
    TestOutput out(test, numbers.stream().Map(Checked));
    numbers.Push({1, -2, -3});
    ASSERT_TRUE(test.RunBatch().ok());
  }
  EXPECT_EQ(counting->letters, 2u);
}

// ---- what stays a failure ------------------------------------------------------------------

TEST_F(LettersTest, WithTooManyBadRecordsTheBatchFails) {
  TestContext test(Aside({{"bad_records_max", "2"}}));
  TestInput<int64_t> numbers(test);
  TestOutput out(test, numbers.stream().Map(Checked));
  numbers.Push({-1, -2, -3, -4, -5, -6});
  const Outcome outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.message, HasSubstr("negative: -"));
  EXPECT_THAT(outcome.message, HasSubstr("2 bad records"));
  EXPECT_THAT(Letters(), IsEmpty());
}

TEST_F(LettersTest, TooManyOfSeveralTasksFailTheBatchToo) {
  TestContext test(Aside({{"bad_records_max", "3"}}));
  TestInput<int64_t> numbers(test);
  TestOutput out(test, numbers.stream().Repartition(2).Map(Checked));
  numbers.Push({-1, -2, -3, -4});
  const Outcome outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.message, HasSubstr("bad_records_max=3"));
}

TEST_F(LettersTest, ByDefaultABadRecordFailsItsBatch) {
  TestContext test;
  TestInput<int64_t> numbers(test);
  TestOutput out(test, numbers.stream().Map(Checked));
  numbers.Push({1, -2});
  const Outcome outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.message, HasSubstr("negative: -2"));
}

TEST_F(LettersTest, AnEffectOutsideStaysAFailure) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  numbers.stream().ForeachPartition([](const PartitionBatch<int64_t>& batch) {
    for (const int64_t number : batch.Collect()) Checked(number);
  });
  numbers.Push({1, -2});
  EXPECT_EQ(test.RunBatch().exit_code, 1);
  EXPECT_THAT(Letters(), IsEmpty());
}

// It had seen the record that was set aside: beside it, or from a chain of its own.
TEST_F(LettersTest, AnEffectRunsOnceAndWithoutWhatThrowsBesideIt) {
  std::mutex mutex;
  std::vector<int64_t> seen;
  const auto see = [&](const PartitionBatch<int64_t>& batch) {
    const std::vector<int64_t> rows = batch.Collect();
    std::lock_guard lock(mutex);
    seen.insert(seen.end(), rows.begin(), rows.end());
  };
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  numbers.stream().ForeachPartition(see);
  numbers.stream().Map(Checked).ForeachPartition(see);
  TestOutput out(test, numbers.stream().Map(Checked));
  numbers.Push({1, -2, 3});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(seen, UnorderedElementsAre(1, 3, 1, 3));
  EXPECT_THAT(Letters(), SizeIs(1));
}

// The task had rows for the file at first, and none when it ran again: the file could not be made.
TEST_F(LettersTest, ARolledFileLacksTheRowsThatWereSetAside) {
  TestOptions options = Aside();
  options.partitions = 16;  // so that a row is alone in its task
  TestContext test(options);
  TestInput<int64_t> numbers(test);
  const auto sums = numbers.stream().Map(Parity).ReduceByKey(std::plus<>());
  sums.Map([](const auto& sum) { return std::to_string(sum.second); })
      .SaveAsTextFiles(folder_ + "/sums", "", {.roll_bytes = 1});
  TestOutput out(test, sums.Map([](const auto& sum) { return Checked(sum.second); }));
  numbers.Push({-1, 2});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(2));
  ASSERT_TRUE(test.RunBatch().ok());
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (!entry.path().filename().string().starts_with("sums-")) continue;
    std::ifstream file(entry.path());
    files.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  EXPECT_THAT(files, ElementsAre("2\n"));
}

TEST_F(LettersTest, AFunctionThatThrowsNowAndThenSetsNothingAside) {
  std::atomic<int> calls = 0;
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput out(test, numbers.stream().Map([&](int64_t number) {
    if (++calls == 1) throw std::runtime_error("once");
    return number;
  }));
  numbers.Push({1, 2});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(1, 2));
  EXPECT_THAT(Letters(), IsEmpty());
}

}  // namespace
}  // namespace sluice
