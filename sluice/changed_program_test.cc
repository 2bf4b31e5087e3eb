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

std::vector<std::string> Numbered(int count) {
  std::vector<std::string> lines;
  for (int i = 0; i < count; ++i) lines.push_back("key" + std::to_string(i));
  return lines;
}

// An operator's own count, and that of the job.
TEST_F(ChangedProgramTest, StateGoesOnInAnotherNumberOfPartitions) {
  int64_t rounds = 0;
  for (const uint32_t partitions : {3u, 5u, 1u, 8u}) {
    TestOptions options = Options();
    options.partitions = partitions + 1;
    TestContext test(options);
    TestInput<std::string> lines(test);
    const auto ones = lines.stream().Map([](std::string_view line) {
      return std::pair{line, int64_t{1}};
    });
    TestOutput own(test, ones.UpdateStateByKey("own", Add, {.partitions = partitions}));
    TestOutput jobs(test, ones.UpdateStateByKey("jobs", Add));
    lines.Push(Numbered(50));
    const auto outcome = test.RunBatch();
    ASSERT_TRUE(outcome.ok()) << outcome.message;
    ++rounds;
    for (const auto& last : {own.last(), jobs.last()}) {
      ASSERT_TRUE(last.has_value());
      EXPECT_EQ(last->size(), 50u);
      for (const auto& [key, count] : *last) EXPECT_EQ(count, rounds) << key;
    }
  }
}

// The keys that had a timeout kept it.
TEST_F(ChangedProgramTest, TimeoutsGoAlongToAnotherNumberOfPartitions) {
  const auto count = [](std::string_view, std::optional<int64_t> value, State<int64_t>& state) {
    if (state.IsTimingOut()) return -state.Get();
    state.Update(state.GetOption().value_or(0) + *value);
    return state.Get();
  };
  std::vector<int64_t> gone;
  for (const uint32_t partitions : {2u, 7u, 3u, 5u}) {
    TestOptions options = Options();
    options.partitions = partitions;
    TestContext test(options);
    TestInput<std::string> lines(test);
    const auto ones = lines.stream().Map([](std::string_view line) {
      return std::pair{std::string(line), int64_t{1}};
    });
    TestOutput counts(test, ones.MapWithState("counts", count, {.idle_timeout = 2s}));
    if (partitions == 2) lines.Push(Numbered(20));
    ASSERT_TRUE(test.RunBatch().ok());
    if (partitions == 2) continue;
    const auto last = counts.last();
    ASSERT_TRUE(last.has_value());
    gone.insert(gone.end(), last->begin(), last->end());
    EXPECT_TRUE(partitions != 7 || gone.empty());  // one second has passed
  }
  EXPECT_EQ(gone, std::vector<int64_t>(20, -1));
}

TEST_F(ChangedProgramTest, ABatchThatNoCheckpointCoversIsRefusedInAnotherShape) {
  for (const uint32_t partitions : {3u, 4u}) {
    TestOptions options = Options();
    options.conf = {};
    options.partitions = partitions;
    TestContext test(options);
    TestInput<std::string> lines(test);
    TestOutput totals(test, Totals(lines.stream()));
    Outcome outcome;
    for (int i = 0; i < 3 && outcome.ok(); ++i) outcome = test.RunBatch();
    EXPECT_EQ(outcome.ok(), partitions == 3) << outcome.message;
    if (partitions == 4) {
      EXPECT_EQ(outcome.exit_code, 3);
      EXPECT_THAT(outcome.message, HasSubstr("planned in 3 partitions, every 1000 ms"));
    }
  }
}

// Every second a batch, then every two; and back, which would divide what is held.
TEST_F(ChangedProgramTest, WindowsGoOnUnderAnIntervalThatIsAMultiple) {
  const auto run = [this](std::chrono::milliseconds interval, const std::string& line,
                          std::vector<std::string>* seen) {
    TestOptions options = Options();
    options.batch_interval = interval;
    TestContext test(options);
    TestInput<std::string> lines(test);
    TestOutput four(test, lines.stream().Window({.length = 4s}));
    TestOutput totals(test, Totals(lines.stream()));
    lines.Push({line});
    const Outcome outcome = test.RunBatch();
    if (outcome.ok()) *seen = four.last().value_or(std::vector<std::string>());
    return outcome;
  };
  std::vector<std::string> seen;
  ASSERT_TRUE(run(1s, "a", &seen).ok());
  ASSERT_TRUE(run(1s, "b", &seen).ok());
  Outcome outcome = run(2s, "c", &seen);  // at 4 s: batches after 0 s
  ASSERT_TRUE(outcome.ok()) << outcome.message;
  EXPECT_THAT(seen, UnorderedElementsAre("a", "b", "c"));
  ASSERT_TRUE(run(2s, "d", &seen).ok());  // at 6 s: batches after 2 s
  EXPECT_THAT(seen, UnorderedElementsAre("c", "d"));
  outcome = run(1s, "e", &seen);
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.message, HasSubstr("has a batch every 2000 ms, of which a slide of 1000 ms"));
}

TEST_F(ChangedProgramTest, AWindowThatIsNotFoundUnderAnotherIntervalIsRefusedByName) {
  const auto run = [this](std::chrono::milliseconds interval) {
    TestOptions options = Options();
    options.batch_interval = interval;
    TestContext test(options);
    TestInput<std::string> lines(test);
    TestOutput four(test, lines.stream().Window({.length = 4s, .slide = 2s}));
    lines.Push({"a"});
    return test.RunBatch();
  };
  ASSERT_TRUE(run(1s).ok());
  const Outcome outcome = run(2s);  // its slide is that of the stream now
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.message, HasSubstr("state window-"));
  EXPECT_THAT(outcome.message, HasSubstr("has a batch every 2000 ms, and no operator"));
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
