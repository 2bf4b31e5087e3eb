// The examples, tested as their readers would test their own jobs: with sluice/testing.h.
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <random>

#include "examples/errors.h"
#include "examples/follow_file.h"
#include "examples/outliers.h"
#include "examples/page_views.h"
#include "examples/regression.h"
#include "examples/word_count.h"
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
using testing::UnorderedElementsAre;

TEST(WordCount, CountsTheWordsOfEachBatchAndOfAllSoFar) {
  TestContext test;
  TestInput<std::string> lines(test);
  const auto counted = CountWords(lines.stream());
  TestOutput counts(test, counted), totals(test, Totals(counted));
  lines.Push({"to be or", "  not\tto be", ""});
  lines.Push({"to"});
  lines.PushNoDataset();
  ASSERT_TRUE(test.RunBatch().ok());
  const auto first = UnorderedElementsAre(Pair("to", 2), Pair("be", 2), Pair("or", 1),
                                          Pair("not", 1));
  EXPECT_THAT(*counts.last(), first);
  EXPECT_THAT(*totals.last(), first);
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*counts.last(), ElementsAre(Pair("to", 1)));
  const auto all = UnorderedElementsAre(Pair("to", 3), Pair("be", 2), Pair("or", 1),
                                        Pair("not", 1));
  EXPECT_THAT(*totals.last(), all);
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_EQ(counts.last(), std::nullopt);
  EXPECT_THAT(totals.last(), Optional(all));
}

TEST(ErrorFilter, LinesWithTheWordInAnyPlace) {
  TestContext test;
  TestInput<std::string> lines(test);
  TestOutput errors(test, Errors(lines.stream()));
  lines.Push({"error", "all is well", "an error: 7", "Error", "err or", "terrors", ""});
  lines.Push({"all is well"});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(errors.last(), Optional(ElementsAre("error", "an error: 7", "terrors")));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(errors.last(), Optional(IsEmpty()));
}

// A line of a log as nginx writes it by itself.
std::string Access(const std::string& request, const std::string& status_and_bytes) {
  return "127.0.0.1 - - [28/Nov/2026:03:00:00 +0000] \"" + request + "\" " + status_and_bytes +
         " \"-\" \"curl/7.88.1\"";
}
auto Seen(const std::string& path, int64_t hits, int64_t bytes) {
  return Pair(path, testing::FieldsAre(hits, bytes));
}

TEST(PageViews, HitsAndBytesOfEachPathOverTheWindow) {
  using std::chrono::seconds;
  TestContext test({.partitions = 3});
  TestInput<std::string> lines(test);
  TestOutput views(test, ViewsOfWindow(lines.stream().FlatMap(ParseAccess),
                                       {.length = seconds(3), .slide = seconds(2)}));
  lines.Push({Access("GET /a HTTP/1.1", "200 100"), Access("GET /b HTTP/1.1", "200 7")});
  lines.Push({Access("POST /a?x=1 HTTP/1.1", "404 20"), Access("GET / HTTP/1.1", "304 0")});
  lines.Push({Access("GET /a?x=2 HTTP/2.0", "200 3")});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_EQ(views.last(), std::nullopt);
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*views.last(), UnorderedElementsAre(Seen("/a", 2, 120), Seen("/b", 1, 7),
                                                  Seen("/", 1, 0)));
  ASSERT_TRUE(test.RunBatch().ok());
  ASSERT_TRUE(test.RunBatch().ok());  // the first batch has left, and /b with it
  EXPECT_THAT(*views.last(), UnorderedElementsAre(Seen("/a", 2, 23), Seen("/", 1, 0)));
  ASSERT_TRUE(test.RunBatch().ok());
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(views.last(), Optional(IsEmpty()));
}

TEST(PageViews, LinesOfAnotherFormAreNone) {
  for (const std::string& line :
       {std::string(), std::string("no log at all"), std::string("one \" only 200 1"),
        Access("", "400 0"), Access("-", "400 0"), Access("GET /a b HTTP/1.1", "400 0"),
        Access("GET /a", "200 5"), std::string("x \"GET /a HTTP/1.1\" 200")}) {
    EXPECT_THAT(ParseAccess(line), IsEmpty()) << line;
  }
  EXPECT_THAT(ParseAccess(Access("GET /a?b?c HTTP/1.1", "200 -")), ElementsAre(Seen("/a", 1, 0)));
}

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
              UnorderedElementsAre(Pair("a", 50), Pair("a", 1000000), Pair("a", 50),
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
