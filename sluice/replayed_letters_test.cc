// Letters of what came over a shuffle that are run again, under bad_records=aside: they go to their
// operator, or to those that read it, once, and nothing else sees them.
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <stdexcept>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

std::pair<std::string, int64_t> Parity(int64_t number) {
  return {number % 2 == 0 ? "even" : "odd", number};
}

class ReplayedLettersTest : public testing::Test {
 protected:
  ReplayedLettersTest()
      : folder_(testing::TempDir() + "/replayed_" + std::to_string(getpid()) + "_" +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(folder_);
    mended = false;
  }
  ~ReplayedLettersTest() override { fs::remove_all(folder_); }

  TestOptions Aside(const std::string& checkpoint_interval = "1h") const {
    return {.conf = {{"bad_records", "aside"}, {"checkpoint_interval", checkpoint_interval}},
            .checkpoint = folder_};
  }
  // Of numbers below 0, until the program is mended.
  static int64_t Checked(int64_t number) {
    if (number < 0 && !mended) throw std::runtime_error("negative: " + std::to_string(number));
    return number;
  }
  static int64_t Add(int64_t a, int64_t b) { return Checked(a) + Checked(b); }
  static std::optional<int64_t> Total(std::span<const int64_t> values,
                                      std::optional<int64_t> total) {
    for (const int64_t value : values) total = total.value_or(0) + Checked(value);
    return total;
  }

  static inline std::atomic<bool> mended;
  const std::string folder_;
};

TEST_F(ReplayedLettersTest, AKeyUpdatesItsStateOnceAndNothingElse) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  const auto pairs = numbers.stream().Map(Parity);
  TestOutput totals(test, pairs.UpdateStateByKey("totals", Total));
  TestOutput sums(test, pairs.ReduceByKey(std::plus<>()));
  numbers.Push({1, 2});
  ASSERT_TRUE(test.RunBatch().ok());
  numbers.Push({3, 10, -4});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*totals.last(), ElementsAre(Pair("odd", 4)));
  mended = true;
  ASSERT_TRUE(test.ReplayLetters().ok());
  numbers.Push({100});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*totals.last(), UnorderedElementsAre(Pair("odd", 4), Pair("even", 108)));
  EXPECT_THAT(*sums.last(), ElementsAre(Pair("even", 100)));
  ASSERT_TRUE(test.ReplayLetters().ok());
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*totals.last(), UnorderedElementsAre(Pair("odd", 4), Pair("even", 108)));
}

TEST_F(ReplayedLettersTest, AKeyThatIsAsBadAsBeforeIsALetterAnew) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput sums(test, numbers.stream().Map(Parity).ReduceByKey(Add));
  numbers.Push({1, 2, -4});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*sums.last(), ElementsAre(Pair("odd", 1)));
  ASSERT_TRUE(test.ReplayLetters().ok());
  numbers.Push({6});  // it takes what has come with it
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*sums.last(), IsEmpty());
  mended = true;
  ASSERT_TRUE(test.ReplayLetters().ok());
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*sums.last(), ElementsAre(Pair("even", 4)));
}

TEST_F(ReplayedLettersTest, PartialResultsOfAReduceAreReduced) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput sum(test, numbers.stream().Reduce(Add));
  numbers.Push({1, 2, -4});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*sum.last(), IsEmpty());
  mended = true;
  ASSERT_TRUE(test.ReplayLetters().ok());
  numbers.Push({10});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*sum.last(), ElementsAre(9));
}

TEST_F(ReplayedLettersTest, ARowGoesToAllThatReadTheOperatorAndNotToIt) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  const DStream<std::pair<std::string, int64_t>> sums =
      numbers.stream().Map(Parity).ReduceByKey(std::plus<>());
  const auto value = [](const std::pair<std::string, int64_t>& sum) { return sum.second; };
  TestOutput checked(test, sums.Map([](const std::pair<std::string, int64_t>& sum) {
    return Checked(sum.second);
  }));
  TestOutput all(test, sums);
  TestOutput total(test, sums.Map(value).Reduce(std::plus<>()));
  numbers.Push({1, 2, -8});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*all.last(), ElementsAre(Pair("odd", 1)));
  mended = true;
  ASSERT_TRUE(test.ReplayLetters().ok());
  numbers.Push({4});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*checked.last(), UnorderedElementsAre(4, -6));
  EXPECT_THAT(*all.last(), UnorderedElementsAre(Pair("even", 4), Pair("even", -6)));
  EXPECT_THAT(*total.last(), ElementsAre(-2));
}

// What Repartition gives are the shares that came: the first was left out of the search.
TEST_F(ReplayedLettersTest, RowsBehindARepartitionAreSetAsideByThemselvesAndRunAgain) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput out(test, numbers.stream().Repartition(2).Map(Checked));
  numbers.Push({1, -2, 3, 4, -5, 6, 7, -8});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), UnorderedElementsAre(1, 3, 4, 6, 7));
  mended = true;
  ASSERT_TRUE(test.ReplayLetters().ok());
  numbers.Push({9});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), UnorderedElementsAre(-8, -5, -2, 9));
}

TEST_F(ReplayedLettersTest, ARowOfAJoinIsNotJoinedAgain) {
  TestContext test(Aside());
  TestInput<int64_t> left(test), right(test);
  const auto joined = left.stream().Map(Parity).Join(right.stream().Map(Parity));
  using Row = std::pair<std::string, std::pair<int64_t, int64_t>>;
  TestOutput out(test, joined.Map([](const Row& row) {
    Checked(row.second.second);
    return row.second.first * 100 + row.second.second;
  }).Map([](int64_t n) { return std::pair{n, n}; }).UpdateStateByKey("seen", Total));
  left.Push({1});
  right.Push({-3, 5});
  ASSERT_TRUE(test.RunBatch().ok());
  mended = true;
  ASSERT_TRUE(test.ReplayLetters().ok());
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), UnorderedElementsAre(Pair(105, 105), Pair(97, 97)));
}

TEST_F(ReplayedLettersTest, AStageThatReadsNothingHasADatasetOfTheLetters) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput sums(test, numbers.stream().Map(Parity).ReduceByKey(Add));
  numbers.Push({2, -4});
  ASSERT_TRUE(test.RunBatch().ok());
  mended = true;
  numbers.PushNoDataset();
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_FALSE(sums.last().has_value());
  ASSERT_TRUE(test.ReplayLetters().ok());
  numbers.PushNoDataset();
  ASSERT_TRUE(test.RunBatch().ok());
  ASSERT_TRUE(sums.last().has_value());
  EXPECT_THAT(*sums.last(), ElementsAre(Pair("even", -2)));
}

TEST_F(ReplayedLettersTest, ToAWindowTheyAreValuesOfTheBatchThatTakesThem) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  const WindowOptions window{.length = std::chrono::seconds(2)};
  TestOutput out(test, numbers.stream().Map(Parity).ReduceByKeyAndWindow(Add, window));
  numbers.Push({2, -4});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), IsEmpty());
  mended = true;
  ASSERT_TRUE(test.RunBatch().ok());
  ASSERT_TRUE(test.RunBatch().ok());
  ASSERT_TRUE(test.ReplayLetters().ok());
  for (int batch = 0; batch < 2; ++batch) {
    ASSERT_TRUE(test.RunBatch().ok());
    EXPECT_THAT(*out.last(), ElementsAre(Pair("even", -2)));
  }
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), IsEmpty());
}

TEST_F(ReplayedLettersTest, BehindAWindowTheyWaitUntilItSlides) {
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  const WindowOptions window{.length = std::chrono::seconds(2),
                             .slide = std::chrono::seconds(2)};
  TestOutput out(test, numbers.stream().Map(Parity).ReduceByKeyAndWindow(std::plus<>(), window)
                           .UpdateStateByKey("totals", Total));
  numbers.Push({-4});
  ASSERT_TRUE(test.RunBatch().ok());
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), IsEmpty());
  mended = true;
  ASSERT_TRUE(test.ReplayLetters().ok());
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_FALSE(out.last().has_value());
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*out.last(), ElementsAre(Pair("even", -4)));
}

TEST_F(ReplayedLettersTest, WhatAJobHasTakenItStillOwesWhenItIsStartedAgain) {
  const auto build = [](TestInput<int64_t>& numbers) {
    return numbers.stream()
        .Map([](int64_t n) { return std::pair{"key" + std::to_string(n % 20), n}; })
        .UpdateStateByKey("totals", Total);
  };
  {
    TestContext test(Aside());
    TestInput<int64_t> numbers(test);
    TestOutput totals(test, build(numbers));
    numbers.Push({5, 6, 7});
    ASSERT_TRUE(test.RunBatch().ok());
    numbers.Push({-5, 25, -6, 26});
    ASSERT_TRUE(test.RunBatch().ok());
    ASSERT_TRUE(test.ReplayLetters().ok());  // and the job ends before the batch
  }
  mended = true;
  TestContext test(Aside());
  TestInput<int64_t> numbers(test);
  TestOutput totals(test, build(numbers));
  numbers.Push({7});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*totals.last(),
              UnorderedElementsAre(Pair("key5", 30), Pair("key6", 32), Pair("key7", 14),
                                   Pair("key-5", -5), Pair("key-6", -6)));
}

TEST_F(ReplayedLettersTest, OfAnotherTypeOrWithoutTheirOperatorTheyAreRefusedByName) {
  {
    TestContext test(Aside("1s"));
    TestInput<int64_t> numbers(test);
    TestOutput totals(test, numbers.stream().Map(Parity).UpdateStateByKey("totals", Total));
    numbers.Push({2, -4});
    ASSERT_TRUE(test.RunBatch().ok());
  }
  {
    TestContext test(Aside("1s"));
    TestInput<int64_t> numbers(test);
    TestOutput totals(
        test, numbers.stream()
                  .Map([](int64_t n) { return std::pair{Parity(n).first, std::to_string(n)}; })
                  .UpdateStateByKey("totals", [](std::span<const std::string> values,
                                                 std::optional<int64_t> total) {
                    return std::optional(total.value_or(0) + int64_t(values.size()));
                  }));
    ASSERT_TRUE(test.RunBatch().ok());
    EXPECT_THAT(test.ReplayLetters().message,
                HasSubstr("(text,int64), where operator state totals has (text,text)"));
  }
  TestContext test(Aside("1s"));
  TestInput<int64_t> numbers(test);
  TestOutput rows(test, numbers.stream());
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(test.ReplayLetters().message,
              HasSubstr("whose operator is not in the program: state totals"));
}

}  // namespace
}  // namespace sluice
