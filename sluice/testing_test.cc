// The kit for tests of jobs, used as its users do.
#include "sluice/testing.h"

#include <atomic>
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;
using testing::Pair;
using testing::UnorderedElementsAre;

auto CountWords(DStream<std::string> lines) {
  return lines.FlatMap(SplitWords)
      .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
      .ReduceByKey(std::plus<>());
}

auto CountOnes(DStream<std::string> lines) {
  return lines.Map([](std::string_view line) { return std::pair{line, 1}; })
      .UpdateStateByKey("counts", [](std::span<const int> values, std::optional<int> count) {
        return std::optional<int>(count.value_or(0) + static_cast<int>(values.size()));
      });
}

TEST(TestContextTest, CountsTheWordsOfABatch) {
  TestContext test;
  TestInput<std::string> lines(test);
  TestOutput counts(test, CountWords(lines.stream()));
  lines.Push({"to be or", "not to be"});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*counts.last(), UnorderedElementsAre(Pair("to", 2), Pair("be", 2), Pair("or", 1),
                                                   Pair("not", 1)));
}

TEST(TestContextTest, KeepsADatasetWithoutRecordsApartFromNone) {
  TestContext test;
  TestInput<std::string> lines(test);
  TestOutput same(test, lines.stream());
  lines.Push({"a"});
  lines.PushNoDataset();
  lines.Push({"b"});
  test.RunBatch();
  EXPECT_THAT(same.last(), Optional(ElementsAre("a")));
  test.RunBatch();
  EXPECT_EQ(same.last(), std::nullopt);
  test.RunBatch();
  EXPECT_THAT(same.last(), Optional(ElementsAre("b")));
  test.RunBatch();
  EXPECT_THAT(same.last(), Optional(IsEmpty()));
  EXPECT_THAT(same.all(), ElementsAre("a", "b"));
}

// The first batch had a window in which only half of its time was.
TEST(TestContextTest, AnotherIntervalThanThatOfTheGraphIsRefused) {
  TestContext test({.conf = {{"batch_interval", "500ms"}}});
  TestInput<std::string> lines(test);
  lines.stream().CountByWindow({.length = std::chrono::seconds(2)}).Print();
  const Outcome ran = test.RunBatch();
  EXPECT_EQ(ran.exit_code, 3);
  EXPECT_THAT(ran.message, HasSubstr("500ms, but the context was made with 1s"));
}

// All ran with two, so that a test saw another order than the job has, or missed a mistake.
TEST(TestContextTest, ThePartitionsThatAProgramSetsAreThoseThatItRunsWith) {
  const auto partitions_of = [](TestContext& test) {
    TestInput<std::string> lines(test);
    TestOutput partitions(test, CountWords(lines.stream()).Glom());
    lines.Push({"to be or not"});
    EXPECT_TRUE(test.RunBatch().ok());
    return partitions.last()->size();
  };
  TestContext by_conf({.conf = {{"partitions", "7"}}});
  EXPECT_EQ(partitions_of(by_conf), 7u);
  TestContext by_program;
  by_program.ssc().Set("partitions", "1");
  EXPECT_EQ(partitions_of(by_program), 1u);
  TestContext by_none;
  EXPECT_EQ(partitions_of(by_none), 2u);
}

TEST(TestContextTest, BatchTimesCountFromZeroAndMissedTicksAreNone) {
  TestContext test({.batch_interval = std::chrono::milliseconds(250)});
  TestInput<std::string> lines(test);
  lines.stream().Print();
  lines.Push({"a"});
  test.RunBatch();
  EXPECT_EQ(test.batch_ms(), TestContext::kZeroMs + 250);
  EXPECT_THAT(test.printed(), HasSubstr("Time: 1000000000250 ms\n"));
  EXPECT_THAT(test.printed(), HasSubstr("\na\n"));
  test.RunBatchAfter(4);
  EXPECT_EQ(test.batch_ms(), TestContext::kZeroMs + 1250);
  EXPECT_THAT(test.printed(), testing::Not(HasSubstr("Time: 1000000001000 ms\n")));
  EXPECT_THAT(test.printed(), HasSubstr("Time: 1000000001250 ms\n"));
}

TEST(TestContextTest, SaysWhatIsWrongWithTheProgram) {
  TestContext test;
  TestInput<std::string> lines(test);
  TestOutput out(test, lines.stream().Window({.length = std::chrono::milliseconds(1500)}));
  const Outcome outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.message, HasSubstr("must be a positive multiple"));
}

TEST(TestContextTest, SaysWhatAFunctionThrew) {
  TestContext test({.conf = {{"task_max_failures", "1"}}});
  TestInput<std::string> lines(test);
  TestOutput lengths(test, lines.stream().Map([](std::string_view line) -> uint64_t {
    if (line == "bad") throw std::runtime_error("cannot read a bad line");
    return line.size();
  }));
  lines.Push({"good"});
  lines.Push({"bad"});
  EXPECT_TRUE(test.RunBatch().ok());
  const Outcome outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.message, HasSubstr("cannot read a bad line"));
  EXPECT_EQ(lengths.last(), std::nullopt);
  EXPECT_FALSE(test.RunBatch().ok());
}

TEST(TestContextTest, SaysHowAStateWasMisused) {
  TestContext test({.conf = {{"task_max_failures", "1"}}});
  TestInput<std::pair<std::string, int>> pairs(test);
  TestOutput totals(test, pairs.stream().MapWithState(
                              "totals", [](std::string_view, std::optional<int> value,
                                           State<int>& total) { return total.Get() + *value; }));
  pairs.Push({{"a", 1}});
  const Outcome outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.message, HasSubstr("MapWithState totals"));
  EXPECT_THAT(outcome.message, HasSubstr("State::Get: the key has no state"));
}

void BuildJob(StreamingContext& ssc) {
  CountWords(ssc.TextFileStream(ssc.args().Get("dir"))).Print();
}

TEST(TestContextTest, RunsAWholeBuildFunctionOverFiles) {
  const std::string directory = testing::TempDir() + "whole-job";
  std::filesystem::create_directories(directory);
  TestContext test({.partitions = 1, .args = Args::Parse({"--dir=" + directory})});
  BuildJob(test.ssc());
  std::ofstream(directory + "/book") << "to be or\nnot to be\n";
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(test.printed(), HasSubstr("\n(to,2)\n(be,2)\n(or,1)\n(not,1)\n"));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(test.printed(), testing::Not(HasSubstr("be")));
  std::filesystem::remove_all(directory);
}

TEST(TestContextTest, ALaterContextTakesUpLogAndState) {
  const std::string directory = testing::TempDir() + "taken-up";
  std::filesystem::remove_all(directory);
  for (int context = 0; context < 2; ++context) {
    TestContext test({.checkpoint = directory});
    TestInput<std::string> lines(test);
    TestOutput counts(test, CountOnes(lines.stream()));
    for (int batch = 1; batch <= 3; ++batch) {
      lines.Push({"a"});
      ASSERT_TRUE(test.RunBatch().ok());
      EXPECT_THAT(counts.last(), Optional(ElementsAre(Pair("a", 3 * context + batch))));
      EXPECT_EQ(test.batch_ms(), TestContext::kZeroMs + 1000 * (3 * context + batch));
    }
  }
  std::filesystem::remove_all(directory);
}

// The job went on behind a Stop that had said it worked.
TEST(TestContextTest, ADrainRunsALastBatchAndEndsTheJob) {
  const std::string directory = testing::TempDir() + "drained";
  std::filesystem::remove_all(directory);
  for (const uint32_t partitions : {2, 5}) {
    TestContext test({.partitions = partitions, .checkpoint = directory});
    TestInput<std::string> lines(test);
    TestOutput counts(test, CountOnes(lines.stream()));
    lines.Push({"a"});
    ASSERT_TRUE(test.RunBatch().ok());
    EXPECT_EQ(test.ssc().state(), ContextState::kActive);
    const int64_t last_ms = test.batch_ms();
    lines.Push({"a"});
    const Outcome stopped = test.ssc().Stop();
    EXPECT_EQ(stopped.exit_code, 0) << stopped.message;
    EXPECT_EQ(test.ssc().state(), ContextState::kStopped);
    EXPECT_EQ(test.batch_ms(), last_ms + 1000);
    EXPECT_THAT(counts.last(), Optional(ElementsAre(Pair("a", partitions == 2 ? 2 : 4))));
    EXPECT_EQ(test.RunBatch().exit_code, 3);
    EXPECT_EQ(test.batch_ms(), last_ms + 1000);
    EXPECT_TRUE(test.ssc().AwaitTermination().ok());
  }
  std::filesystem::remove_all(directory);
}

TEST(TestContextTest, AStopAtOnceLeavesWhatWaits) {
  TestContext test({.batch_interval = std::chrono::hours(1)});
  TestInput<std::string> lines(test);
  TestOutput counts(test, CountOnes(lines.stream()));
  lines.Push({"a"});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_EQ(test.ssc().AwaitTermination().exit_code, 3) << "nobody moves the clock meanwhile";
  lines.Push({"a"});
  EXPECT_TRUE(test.ssc().Stop({.drain = false}).ok());
  EXPECT_EQ(test.RunBatch().exit_code, 3);
  EXPECT_THAT(counts.all(), ElementsAre(Pair("a", 1)));
}

TEST(TestContextTest, AContextThatWasStoppedRunsNoBatch) {
  TestContext test;
  TestInput<std::string> lines(test);
  lines.stream().Print();
  EXPECT_TRUE(test.ssc().Stop().ok());
  EXPECT_EQ(test.RunBatch().exit_code, 3);
  EXPECT_EQ(test.batch_ms(), 0);
}

// It was a race with the threads that read the graph, or an output to which nothing ever came.
TEST(TestContextTest, WhatIsDeclaredBehindTheFirstBatchIsSaidToBeTooLate) {
  TestContext late_stream, late_setting;
  TestInput<std::string> lines(late_stream), others(late_setting);
  lines.stream().Print();
  others.stream().Print();
  ASSERT_TRUE(late_stream.RunBatch().ok());
  ASSERT_TRUE(late_setting.RunBatch().ok());
  late_stream.ssc().TextFileStream(testing::TempDir()).Print();
  Outcome ran = late_stream.RunBatch();
  EXPECT_EQ(ran.exit_code, 3);
  EXPECT_THAT(ran.message, HasSubstr("the graph is fixed once the job has started"));
  late_setting.ssc().Set("replication", "1");
  ran = late_setting.RunBatch();
  EXPECT_EQ(ran.exit_code, 3);
  EXPECT_THAT(ran.message, HasSubstr("settings are fixed"));
}

TEST(TestContextTest, WhatKeepsAJobFromStartingHasTheCodeThatItsUserSees) {
  const std::string directory = testing::TempDir() + "owned";
  std::filesystem::remove_all(directory);
  TestContext first({.checkpoint = directory}), second({.checkpoint = directory});
  TestInput<std::string> lines(first), same(second);
  lines.stream().Print();
  same.stream().Print();
  ASSERT_TRUE(first.RunBatch().ok());
  EXPECT_EQ(second.RunBatch().exit_code, 7);
}

// The first driver of a job gave its output operations another job instance than later ones did.
TEST(TestContextTest, TheIdentityOfAnOutputSurvivesARelaunch) {
  const std::string directory = testing::TempDir() + "identity";
  std::filesystem::remove_all(directory);
  std::vector<BatchIdentity> seen;
  for (int context = 0; context < 2; ++context) {
    TestContext test({.checkpoint = directory});
    TestInput<std::string> lines(test);
    lines.stream().ForeachBatch(
        [&seen](const Batch<std::string>& batch) { seen.push_back(batch.identity()); });
    ASSERT_TRUE(test.RunBatch().ok());
  }
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_NE(seen[0].job_instance, 0u);
  EXPECT_EQ(seen[0].job_instance, seen[1].job_instance);
  EXPECT_LT(seen[0].fence, seen[1].fence);
  std::filesystem::remove_all(directory);
}

TEST(TestContextTest, FilesFromBeforeTheFirstStartAreIgnoredWhereTheProgramSaysSo) {
  const std::string directory = testing::TempDir() + "older-files";
  std::filesystem::create_directories(directory);
  std::ofstream(directory + "/old") << "old\n";
  std::filesystem::last_write_time(directory + "/old", std::filesystem::file_time_type::min());
  std::ofstream(directory + "/new") << "new\n";
  TestContext test;
  TestOutput ignoring(test, test.ssc().TextFileStream(directory, {.existing = Existing::kIgnore}));
  TestOutput taking(test, test.ssc().TextFileStream(directory));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(ignoring.last(), Optional(ElementsAre("new")));
  EXPECT_THAT(taking.last(), Optional(UnorderedElementsAre("new", "old")));
  std::filesystem::remove_all(directory);
}

TEST(TestContextTest, AValueOfTheBatchIsTheSameEverywhereAndAskedOnce) {
  TestContext test({.partitions = 3});
  TestInput<std::string> lines(test);
  int asked = 0;
  const auto number = test.ssc().PerBatch("number", [&asked](int64_t) { return ++asked; });
  TestOutput numbered(test, lines.stream().CountByValue().Map(
                                [number](const auto& row) { return row.second * 10 + *number; }));
  std::vector<int> seen;
  lines.stream().ForeachBatch([&](const Batch<std::string>&) { seen.push_back(*number); });
  for (int batch = 1; batch <= 3; ++batch) {
    lines.Push({"a", "b", "c", "c"});
    ASSERT_TRUE(test.RunBatch().ok());
    EXPECT_THAT(*numbered.last(), UnorderedElementsAre(10 + batch, 10 + batch, 20 + batch));
  }
  EXPECT_THAT(seen, ElementsAre(1, 2, 3));
}

// One consumer of each is in the task that calls the function, the other behind a shuffle.
TEST(TestContextTest, APersistedStreamIsComputedOnceForAllItsConsumers) {
  for (const uint32_t partitions : {1, 2, 7}) {
    TestContext test({.partitions = partitions});
    TestInput<std::string> lines(test);
    std::atomic<int> line_calls = 0, count_calls = 0;
    const auto marked = lines.stream()
                            .Map([&line_calls](std::string_view line) {
                              ++line_calls;
                              return std::string(line) + "!";
                            })
                            .Persist();
    TestOutput same(test, marked);
    const auto tenfold = marked.CountByValue()
                             .MapValues([&count_calls](int64_t count) {
                               ++count_calls;
                               return 10 * count;
                             })
                             .Persist();
    TestOutput counts(test, tenfold);
    TestOutput sizes(test, tenfold.Count());
    for (int batch = 1; batch <= 2; ++batch) {
      lines.Push({"a", "b", "b"});
      ASSERT_TRUE(test.RunBatch().ok());
      EXPECT_THAT(*same.last(), ElementsAre("a!", "b!", "b!"));
      EXPECT_THAT(*counts.last(), UnorderedElementsAre(Pair("a!", 10), Pair("b!", 20)));
      EXPECT_THAT(*sizes.last(), ElementsAre(2));
      EXPECT_EQ(line_calls, 3 * batch) << partitions;
      EXPECT_EQ(count_calls, 2 * batch) << partitions;
    }
  }
}

TEST(TestContextTest, AStaticDatasetIsTheOneOfTheBatchAndLoadedOnce) {
  TestContext test;
  TestInput<std::string> lines(test);
  std::atomic<int> loads = 0;
  const auto sizes = test.ssc().StaticDataset<std::string, int64_t>(
      "sizes", [version = 0](int64_t) mutable { return std::to_string(version++ / 2); },
      [&loads](const std::string& version) {
        ++loads;
        return std::vector<std::pair<std::string, int64_t>>{{"a", std::stoll(version)}};
      });
  TestOutput sized(test, lines.stream()
                             .Map([](std::string_view line) { return std::pair{line, true}; })
                             .Join(sizes));
  for (int64_t batch = 0; batch < 4; ++batch) {
    lines.Push({"a", "b"});
    ASSERT_TRUE(test.RunBatch().ok());
    EXPECT_THAT(*sized.last(), ElementsAre(Pair("a", Pair(true, batch / 2))));
  }
  EXPECT_EQ(loads, 2);
}

// It was "operator Boxed", which no program names.
TEST(TestContextTest, AFailureNamesTheOperatorsInsideABox) {
  TestContext test({.conf = {{"task_max_failures", "1"}}});
  TestInput<std::string> lines(test);
  const DStream<std::string> words = lines.stream().Map([](std::string_view line) -> std::string {
    throw std::runtime_error("no word: " + std::string(line));
  });
  TestOutput out(test, words);
  lines.Push({"bad"});
  EXPECT_THAT(test.RunBatch().message, HasSubstr("operator Map, Boxed"));
}

TEST(TestContextTest, SaysWhatAValueOfTheBatchThrew) {
  TestContext test;
  TestInput<std::string> lines(test);
  lines.stream().Print();
  test.ssc().PerBatch("limit", [](int64_t) -> int { throw std::runtime_error("no such table"); });
  const Outcome outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.message, HasSubstr("batch value limit threw: no such table"));
}

// A hundred batches of an hour pass the lease of a worker many times over.
TEST(TestContextTest, NobodyIsLostWhenHoursPass) {
  TestContext test({.batch_interval = std::chrono::hours(1)});
  TestInput<std::string> lines(test);
  TestOutput totals(test, lines.stream()
                              .Map([](std::string_view line) { return std::pair{line, 1}; })
                              .UpdateStateByKey("totals", [](std::span<const int> values,
                                                             std::optional<int> total) {
                                return std::optional<int>(total.value_or(0) +
                                                          static_cast<int>(values.size()));
                              }));
  for (int batch = 1; batch <= 100; ++batch) {
    lines.Push({"a"});
    ASSERT_TRUE(test.RunBatch().ok());
    ASSERT_THAT(totals.last(), Optional(ElementsAre(Pair("a", batch))));
  }
}

}  // namespace
}  // namespace sluice
