// A job that is taken up by a program that was changed since: what it keeps, and what it refuses.
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;
using testing::Pair;
using testing::UnorderedElementsAre;
using namespace std::chrono_literals;

std::optional<int64_t> Add(std::span<const int64_t> counts, std::optional<int64_t> total) {
  for (const int64_t count : counts) total = total.value_or(0) + count;
  return total;
}

DStream<std::pair<std::string, int64_t>> Totals(const DStream<std::string>& lines,
                                                const std::string& name = "totals") {
  return lines.Map([](std::string_view line) { return std::pair{line, int64_t{1}}; })
      .UpdateStateByKey(name, Add);
}

class ChangedProgramTest : public testing::Test {
 protected:
  ChangedProgramTest() {
    root_ = testing::TempDir() + "changed-" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_ + "/in");
  }
  ~ChangedProgramTest() override { std::filesystem::remove_all(root_); }
  // Every batch is covered by a checkpoint, as after a drain.
  TestOptions Options() const {
    return {.conf = {{"checkpoint_interval", "1ms"}}, .checkpoint = root_ + "/store"};
  }
  std::string in() const { return root_ + "/in"; }
  void Drop(const std::string& name, const std::string& text) const {
    std::ofstream(in() + "/." + name) << text;
    std::filesystem::rename(in() + "/." + name, in() + "/" + name);
  }

  std::string root_;
};

// They were: the second program's directory was another stage, of which nothing was known.
TEST_F(ChangedProgramTest, FilesAreNotReadAgainWhenASourceIsDeclaredBefore) {
  Drop("a", "x\ny\nx\n");
  {
    TestContext test(Options());
    TestOutput totals(test, Totals(test.ssc().TextFileStream(in())));
    ASSERT_TRUE(test.RunBatch().ok());
    EXPECT_THAT(totals.last(), Optional(UnorderedElementsAre(Pair("x", 2), Pair("y", 1))));
  }
  TestContext test(Options());
  TestInput<std::string> more(test);
  TestOutput seen(test, more.stream().Map([](std::string_view line) { return line.size(); }));
  TestOutput totals(test, Totals(test.ssc().TextFileStream(in())));
  more.Push({"abc"});
  Drop("b", "x\n");
  const auto outcome = test.RunBatch();
  ASSERT_TRUE(outcome.ok()) << outcome.message;
  EXPECT_THAT(totals.last(), Optional(UnorderedElementsAre(Pair("x", 3), Pair("y", 1))));
  EXPECT_THAT(seen.last(), Optional(ElementsAre(3u)));
}

// Windows have no names of their own: each took what was the window's of its number.
TEST_F(ChangedProgramTest, AWindowKeepsItsBatchesWhenAnotherIsDeclaredBefore) {
  {
    TestContext test(Options());
    TestInput<std::string> lines(test);
    TestOutput three(test, lines.stream().Window({.length = 3s}));
    lines.Push({"a"});
    ASSERT_TRUE(test.RunBatch().ok());
  }
  TestContext test(Options());
  TestInput<std::string> lines(test);
  TestOutput two(test, lines.stream().Window({.length = 2s}));
  TestOutput three(test, lines.stream().Window({.length = 3s}));
  lines.Push({"b"});
  const auto outcome = test.RunBatch();
  ASSERT_TRUE(outcome.ok()) << outcome.message;
  EXPECT_THAT(three.last(), Optional(UnorderedElementsAre("a", "b")));
  EXPECT_THAT(two.last(), Optional(ElementsAre("b")));  // it is new
}

TEST_F(ChangedProgramTest, StateOfAnotherTypeIsRefusedAndBothAreNamed) {
  {
    TestContext test(Options());
    TestInput<std::string> lines(test);
    TestOutput totals(test, Totals(lines.stream()));
    lines.Push({"a"});
    ASSERT_TRUE(test.RunBatch().ok());
  }
  TestContext test(Options());
  TestInput<std::string> lines(test);
  TestOutput totals(
      test, lines.stream()
                .Map([](std::string_view line) { return std::pair{line, 0.5}; })
                .UpdateStateByKey("totals", [](std::span<const double>, std::optional<double>) {
                  return std::optional<double>(1);
                }));
  const auto outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.message, HasSubstr("state totals is "));
  EXPECT_THAT(outcome.message, HasSubstr("int64"));
  EXPECT_THAT(outcome.message, HasSubstr("float64"));
}

TEST_F(ChangedProgramTest, AnotherPartitionCountOfAStateIsRefused) {
  for (const uint32_t partitions : {3u, 5u}) {
    TestContext test(Options());
    TestInput<std::string> lines(test);
    TestOutput totals(
        test, lines.stream()
                  .Map([](std::string_view line) { return std::pair{line, int64_t{1}}; })
                  .UpdateStateByKey("totals", Add, {.partitions = partitions}));
    lines.Push({"a"});
    const auto outcome = test.RunBatch();
    EXPECT_EQ(outcome.ok(), partitions == 3) << outcome.message;
    if (partitions == 5) {
      EXPECT_THAT(outcome.message, HasSubstr("3 partitions in the checkpoint and 5"));
    }
  }
}

TEST_F(ChangedProgramTest, StateThatWasLeftBehindDoesNotComeBackLater) {
  const auto run = [this](const std::string& name) {
    TestContext test(Options());
    TestInput<std::string> lines(test);
    TestOutput totals(test, Totals(lines.stream(), name));
    lines.Push({"a"});
    const auto outcome = test.RunBatch();
    EXPECT_TRUE(outcome.ok()) << outcome.message;
    return totals.last().value_or(std::vector<std::pair<std::string, int64_t>>());
  };
  EXPECT_THAT(run("first"), ElementsAre(Pair("a", 1)));
  EXPECT_THAT(run("first"), ElementsAre(Pair("a", 2)));
  EXPECT_THAT(run("second"), ElementsAre(Pair("a", 1)));
  EXPECT_THAT(run("first"), ElementsAre(Pair("a", 1)));
}

}  // namespace
}  // namespace sluice
