// The examples, tested as their readers would test their own jobs: with sluice/testing.h.
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <random>

#include "examples/follow_file.h"
#include "examples/outliers.h"
#include "examples/regression.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/testing.h"

namespace examples {
namespace {

using sluice::TestContext;
using sluice::TestInput;
using sluice::TestOutput;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;
using testing::Pair;

std::string Text(const std::vector<double>& numbers) {
  std::string text;
  for (const double number : numbers) text += std::to_string(number) + " ";
  return text;
}

TEST(OnlineRegression, LearnsTheWeightsThatMadeTheData) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> feature(-1, 1);
  std::normal_distribution<double> noise(0, 0.01);
  TestContext test;
  TestInput<std::string> lines(test);
  TestOutput models(test, Regression(lines.stream(), 0.05));
  std::vector<double> losses;
  for (int batch = 0; batch < 10; ++batch) {
    std::vector<std::string> samples{"no numbers", "1"};
    for (int i = 0; i < 100; ++i) {
      const double a = feature(random), b = feature(random);
      samples.push_back(Text({a, b, 3 * a - 2 * b + 0.5 + noise(random)}));
    }
    lines.Push(samples);
    ASSERT_TRUE(test.RunBatch().ok());
    ASSERT_EQ(models.last()->size(), 1u);
    losses.push_back(models.last()->front().loss);
  }
  EXPECT_THAT(models.last()->front().weights,
              ElementsAre(DoubleNear(3, 0.02), DoubleNear(-2, 0.02), DoubleNear(0.5, 0.02)));
  EXPECT_GT(losses.front(), 0.1);
  EXPECT_LT(losses.back(), 0.001);
}

TEST(OnlineRegression, KeepsItsModelWhereNothingComes) {
  TestContext test;
  TestInput<std::string> lines(test);
  TestOutput models(test, Regression(lines.stream(), 0.5));
  lines.Push({"1 1", "1 1 1"});  // the second has another number of features
  ASSERT_TRUE(test.RunBatch().ok());
  const auto after_one = models.last()->front().weights;
  EXPECT_THAT(after_one, ElementsAre(0.5, 0.5));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_EQ(models.last()->front().weights, after_one);
  EXPECT_EQ(models.last()->front().loss, 0);
}

class AnomaliesTest : public testing::Test {
 protected:
  // So many readings of both keys, around 10 and around -1000.
  std::vector<std::string> Clean(int count) {
    std::vector<std::string> readings;
    for (int i = 0; i < count; ++i) {
      readings.push_back("a " + std::to_string(10 + noise_(random_)));
      readings.push_back("b " + std::to_string(-1000 + 50 * noise_(random_)));
    }
    return readings;
  }
  std::mt19937 random_{7};
  std::uniform_real_distribution<double> noise_{-1, 1};
};

TEST_F(AnomaliesTest, NoFalseAlarmAndEveryPlantedOneIsFound) {
  TestContext test({.partitions = 3});
  TestInput<std::string> lines(test);
  TestOutput outliers(test, Outliers(lines.stream(), {}));
  for (int batch = 0; batch < 20; ++batch) {
    lines.Push(Clean(100));
    ASSERT_TRUE(test.RunBatch().ok());
    EXPECT_THAT(outliers.last(), Optional(IsEmpty())) << batch;
  }
  // What is usual for one key is far off for the other. One after another hides none.
  std::vector<std::string> planted = Clean(10);
  for (const char* reading : {"a 50", "a 1000000", "a 50", "b 10", "b -1600"}) {
    planted.insert(planted.begin() + static_cast<int>(planted.size()) / 2, reading);
  }
  lines.Push(planted);
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*outliers.last(),
              testing::UnorderedElementsAre(Pair("a", 50), Pair("a", 1000000), Pair("a", 50),
                                            Pair("b", 10), Pair("b", -1600)));
  lines.Push(Clean(10));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(outliers.last(), Optional(IsEmpty()));
}

TEST_F(AnomaliesTest, NothingIsJudgedBeforeTheWarmUp) {
  TestContext test;
  TestInput<std::string> lines(test);
  TestOutput outliers(test, Outliers(lines.stream(), {.deviations = 3, .warm_up = 4}));
  lines.Push({"a 1", "a 2", "a 1000", "no reading at all", "a nan"});
  lines.Push({"a 3", "a 100000"});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(outliers.last(), Optional(IsEmpty()));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(outliers.last(), Optional(ElementsAre(Pair("a", 100000))));
}

// Two contexts stand for two lives of the job: the second reads the file from its beginning and
// stores only what the first had not.
TEST(FollowFile, EveryAppendedLineOnceAlsoOverARestart) {
  const std::string path = testing::TempDir() + "followed";
  const std::string checkpoint = testing::TempDir() + "followed-checkpoint";
  std::filesystem::remove_all(checkpoint);
  std::ofstream(path) << "one\ntwo\nthr";
  std::vector<std::string> all;
  for (int life = 0; life < 2; ++life) {
    TestContext test({.checkpoint = checkpoint});
    TestOutput lines(test, test.ssc().ReceiverStream(FollowFile(path)));
    const auto run_until = [&](size_t count) {
      for (int batch = 0; lines.all().size() < count && batch < 100'000; ++batch) {
        ASSERT_TRUE(test.RunBatch().ok());
      }
    };
    if (life == 0) {
      run_until(2);
      std::ofstream(path, std::ios::app) << "ee\nfour\n";
      run_until(4);
    } else {
      std::ofstream(path, std::ios::app) << "five\n";
      run_until(1);
    }
    const std::vector<std::string> seen = lines.all();
    all.insert(all.end(), seen.begin(), seen.end());
  }
  EXPECT_THAT(all, ElementsAre("one", "two", "three", "four", "five"));
  std::filesystem::remove_all(checkpoint);
}

// Its first lines, as many as its predecessor had, were passed over as stored.
TEST(FollowFile, AFileThatTakesTheOthersPlaceIsReadFromItsBeginning) {
  const std::string path = testing::TempDir() + "replaced";
  const std::string checkpoint = testing::TempDir() + "replaced-checkpoint";
  std::filesystem::remove_all(checkpoint);
  std::ofstream(path) << "one\ntwo\n";
  for (const auto& expected : {std::vector<std::string>{"one", "two"}, {"a", "b", "c"}}) {
    TestContext test({.checkpoint = checkpoint});
    TestOutput lines(test, test.ssc().ReceiverStream(FollowFile(path)));
    for (int batch = 0; lines.all().size() < expected.size() && batch < 100'000; ++batch) {
      ASSERT_TRUE(test.RunBatch().ok());
    }
    EXPECT_EQ(lines.all(), expected);
    std::ofstream(path + ".new") << "a\nb\nc\n";
    std::filesystem::rename(path + ".new", path);
  }
  std::filesystem::remove_all(checkpoint);
}

// It waited for the file to be as long as before, or read the former one for ever, without a word.
TEST(FollowFile, AFileThatIsCutOrReplacedIsAnError) {
  struct Errors : sluice::StreamingListener {
    void OnReceiverError(const sluice::ReceiverInfo& receiver) override {
      const std::lock_guard lock(mutex);
      error = receiver.error;
    }
    std::string Last() {
      const std::lock_guard lock(mutex);
      return error;
    }
    std::mutex mutex;
    std::string error;
  };
  const std::string path = testing::TempDir() + "cut";
  for (const bool replaced : {false, true}) {
    std::ofstream(path) << "one\ntwo\n";
    const auto errors = std::make_shared<Errors>();
    TestContext test;
    test.ssc().AddListener(errors);
    TestOutput lines(test, test.ssc().ReceiverStream(FollowFile(path)));
    for (int batch = 0; lines.all().size() < 2 && batch < 100'000; ++batch) {
      ASSERT_TRUE(test.RunBatch().ok());
    }
    if (replaced) {
      std::ofstream(path + ".new") << "a\nb\nc\n";
      std::filesystem::rename(path + ".new", path);
    } else {
      std::filesystem::resize_file(path, 0);
    }
    for (int batch = 0; errors->Last().empty() && batch < 100'000; ++batch) {
      ASSERT_TRUE(test.RunBatch().ok());
    }
    EXPECT_THAT(errors->Last(), testing::HasSubstr(replaced ? "another file has taken the place"
                                                            : "what was read is no longer in"));
  }
}

}  // namespace
}  // namespace examples
