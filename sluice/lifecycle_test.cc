// The life of a context that a program embeds, and every way to get it wrong.
#include <future>

#include "common/plan/graph.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/job_settings.h"
#include "sluice/runner_install.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

JobOptions Options(const std::string& name) {
  return {.name = name, .batch_interval = milliseconds(10), .conf = {{"partitions", "1"}}};
}

StreamingContext Context(const std::string& name = "test") {
  StreamingContext context(Options(name));
  context.QueueStream(RecordQueue<int64_t>()).ForeachBatch([](const Batch<int64_t>&) {});
  return context;
}

TEST(Lifecycle, StartsStopsAndSaysWhereItIs) {
  StreamingContext ssc = Context();
  EXPECT_EQ(ssc.state(), ContextState::kInitialized);
  const Outcome started = ssc.Start();
  ASSERT_TRUE(started.ok()) << started.message;
  EXPECT_EQ(ssc.state(), ContextState::kActive);
  EXPECT_EQ(ssc.AwaitTerminationOrTimeout(milliseconds(1)), std::nullopt);
  EXPECT_TRUE(ssc.Stop().ok());
  EXPECT_EQ(ssc.state(), ContextState::kStopped);
  EXPECT_TRUE(ssc.AwaitTermination().ok());
  EXPECT_TRUE(ssc.Stop().ok()) << "stopping twice has no effect";
  EXPECT_TRUE(ssc.Stop({.drain = false}).ok());
}

TEST(Lifecycle, StartTwiceIsAnErrorAndTheJobGoesOn) {
  StreamingContext ssc = Context();
  ASSERT_TRUE(ssc.Start().ok());
  const Outcome again = ssc.Start();
  EXPECT_EQ(again.exit_code, 3);
  EXPECT_EQ(again.message, "the job has been started already");
  EXPECT_EQ(ssc.state(), ContextState::kActive);
  EXPECT_TRUE(ssc.Stop().ok());
}

TEST(Lifecycle, AStoppedContextCannotBeStartedAgain) {
  StreamingContext ssc = Context();
  ASSERT_TRUE(ssc.Start().ok());
  ASSERT_TRUE(ssc.Stop().ok());
  EXPECT_EQ(ssc.Start().message,
            "a context that has stopped cannot be started again; make a new one");
}

TEST(Lifecycle, StopBeforeStartIsAllowedAndFinal) {
  StreamingContext ssc = Context();
  EXPECT_TRUE(ssc.Stop().ok());
  EXPECT_EQ(ssc.state(), ContextState::kStopped);
  EXPECT_EQ(ssc.Start().exit_code, 3);
}

TEST(Lifecycle, WithoutAnOutputItDoesNotStart) {
  StreamingContext ssc(Options("test"));
  ssc.QueueStream(RecordQueue<int64_t>());
  const Outcome started = ssc.Start();
  EXPECT_EQ(started.exit_code, 3);
  EXPECT_THAT(started.message, HasSubstr("no output operation is declared"));
  EXPECT_EQ(ssc.state(), ContextState::kStopped);
}

TEST(Lifecycle, WhatIsWrongWithTheProgramIsSaidAtStart) {
  StreamingContext ssc(Options("test"));
  ssc.QueueStream(RecordQueue<int64_t>()).Window({.length = milliseconds(15)}).Print();
  EXPECT_THAT(ssc.Start().message, HasSubstr("must be a positive multiple"));
  EXPECT_EQ(ssc.state(), ContextState::kStopped);
}

// The window was counted in intervals of nothing: a division by zero.
TEST(Lifecycle, AnIntervalOfNothingIsSaidAtStart) {
  StreamingContext ssc({.name = "test", .batch_interval = milliseconds(0)});
  ssc.QueueStream(RecordQueue<int64_t>()).Window({.length = milliseconds(10)}).Print();
  const Outcome started = ssc.Start();
  EXPECT_EQ(started.exit_code, 3);
  EXPECT_EQ(started.message, "batch_interval must be at least 5 ms");

  TestContext test({.batch_interval = milliseconds(0)});
  TestInput<int64_t> numbers(test);
  numbers.stream().Print();
  EXPECT_EQ(test.RunBatch().exit_code, 3);
}

// Batches came twice as often as its windows had been told.
TEST(Lifecycle, AnotherIntervalThanThatOfTheGraphDoesNotStart) {
  setenv("SLUICE_BATCH_INTERVAL", "20ms", 1);
  StreamingContext ssc = Context();
  const Outcome started = ssc.Start();
  unsetenv("SLUICE_BATCH_INTERVAL");
  EXPECT_EQ(started.exit_code, 3);
  EXPECT_THAT(started.message, HasSubstr("batch_interval is configured as 20ms"));
}

TEST(Lifecycle, MorePartitionsThanThereMayBeAreRefused) {
  StreamingContext ssc(Options("test"));
  auto numbers = ssc.QueueStream(RecordQueue<int64_t>());
  numbers.Repartition(65536).Print();
  EXPECT_TRUE(ssc.Check().ok());
  numbers.Repartition(65537).Print();
  EXPECT_EQ(ssc.Check().exit_code, 3);
  EXPECT_EQ(ssc.Check().message, "Repartition has 65537 partitions; 65536 are the most");
}

// What a queue holds is gone with the process; an unmarked one would come back empty.
TEST(Lifecycle, AQueueStreamWithACheckpointDoesNotStart) {
  const std::string checkpoint = "rocksdb:" + testing::TempDir() + "queue-with-a-checkpoint";
  JobOptions options = Options("queued");
  options.checkpoint = checkpoint;
  StreamingContext ssc(options);
  ssc.QueueStream(RecordQueue<int64_t>()).Print();
  const Outcome started = ssc.Start();
  EXPECT_EQ(started.exit_code, 3);
  EXPECT_THAT(started.message, HasSubstr("unless it is marked test_only"));

  StreamingContext marked(options);
  marked.QueueStream(RecordQueue<int64_t>({.test_only = true})).Print();
  EXPECT_TRUE(CheckQueueStreams(marked.graph(), checkpoint).ok());
  EXPECT_FALSE(CheckQueueStreams(ssc.graph(), checkpoint).ok());
  EXPECT_TRUE(CheckQueueStreams(ssc.graph(), "").ok());
}

TEST(Lifecycle, AUnionIsOfStreamsOfOneContext) {
  StreamingContext one = Context(), other = Context();
  auto here = one.QueueStream(RecordQueue<int64_t>());
  auto there = other.QueueStream(RecordQueue<int64_t>());
  here.Union(there).Print();
  EXPECT_EQ(one.Check().message, "Union needs streams of one context");
  other.Union<int64_t>({here, there}).Print();
  EXPECT_EQ(other.Start().message, "Union needs streams of one context");
}

TEST(Lifecycle, AUnionOfNothingIsAnError) {
  StreamingContext ssc = Context();
  ssc.Union(std::vector<DStream<int64_t>>()).Print();
  EXPECT_EQ(ssc.Start().message, "Union needs at least one stream");
}

TEST(Lifecycle, NothingIsAddedAfterStart) {
  StreamingContext ssc = Context();
  ASSERT_TRUE(ssc.Start().ok());
  const size_t nodes = ssc.graph().nodes().size();
  const size_t outputs = ssc.graph().outputs().size();
  EXPECT_TRUE(ssc.Check().ok());
  ssc.QueueStream(RecordQueue<int64_t>()).Count().Print();  // harmless, and without effect
  EXPECT_EQ(ssc.graph().nodes().size(), nodes);
  EXPECT_EQ(ssc.graph().outputs().size(), outputs);
  EXPECT_EQ(ssc.Check().exit_code, 3);
  EXPECT_THAT(ssc.Check().message, HasSubstr("the graph is fixed once the job has started"));
  EXPECT_TRUE(ssc.Stop().ok());
}

TEST(Lifecycle, PersistAfterStartIsAnError) {
  StreamingContext ssc(Options("test"));
  const auto numbers = ssc.QueueStream(RecordQueue<int64_t>());
  numbers.Print();
  ASSERT_TRUE(ssc.Start().ok());
  numbers.Persist();
  EXPECT_EQ(ssc.Check().exit_code, 3);
  EXPECT_TRUE(ssc.Stop().ok());
}

TEST(Lifecycle, NothingIsAddedAfterStop) {
  StreamingContext ssc = Context();
  ASSERT_TRUE(ssc.Stop().ok());
  ssc.QueueStream(RecordQueue<int64_t>()).Print();
  EXPECT_EQ(ssc.graph().nodes().size(), 1u);
  EXPECT_EQ(ssc.Check().exit_code, 3);
}

TEST(Lifecycle, SettingsAreFixedOnceStarted) {
  StreamingContext ssc = Context();
  ASSERT_TRUE(ssc.Start().ok());
  ssc.Set("partitions", "2");
  EXPECT_EQ(ssc.Check().message, "settings are fixed once the job has started: partitions");
  EXPECT_TRUE(ssc.Stop().ok());
}

TEST(Lifecycle, AwaitingAContextThatWasNotStartedIsAnError) {
  StreamingContext ssc = Context();
  EXPECT_EQ(ssc.AwaitTermination().message, "the job has not been started");
  EXPECT_EQ(ssc.AwaitTerminationOrTimeout(milliseconds(1))->exit_code, 3);
}

TEST(Lifecycle, AnErrorOfTheJobEndsItAndSticks) {
  StreamingContext ssc(Options("test"));
  RecordQueue<int64_t> queue;
  queue.Push({1});
  ssc.QueueStream(queue).ForeachBatch(
      [](const Batch<int64_t>&) { throw std::runtime_error("the sink is away"); });
  ASSERT_TRUE(ssc.Start().ok());
  for (int asked = 0; asked < 2; ++asked) {
    const Outcome ended = ssc.AwaitTermination();
    EXPECT_EQ(ended.exit_code, 1);
    EXPECT_THAT(ended.message, HasSubstr("the sink is away"));
  }
  EXPECT_EQ(ssc.state(), ContextState::kStopped);
  EXPECT_EQ(ssc.Stop().exit_code, 1);
  EXPECT_EQ(ssc.Start().exit_code, 3);
}

TEST(Lifecycle, OneContextOfAProcessIsActive) {
  EXPECT_FALSE(StreamingContext::GetActive().has_value());
  StreamingContext first = Context("first");
  StreamingContext second = Context("second");
  EXPECT_FALSE(StreamingContext::GetActive().has_value()) << "made is not yet active";
  ASSERT_TRUE(first.Start().ok());
  ASSERT_TRUE(StreamingContext::GetActive().has_value());
  EXPECT_EQ(StreamingContext::GetActive()->options().name, "first");
  EXPECT_EQ(second.Start().message,
            "another context of this process is active: first; stop it first");
  EXPECT_EQ(second.state(), ContextState::kInitialized);
  ASSERT_TRUE(first.Stop().ok());
  EXPECT_FALSE(StreamingContext::GetActive().has_value());
  ASSERT_TRUE(second.Start().ok());
  EXPECT_EQ(StreamingContext::GetActive()->options().name, "second");
  EXPECT_TRUE(StreamingContext::GetActive()->Stop().ok()) << "any handle stops it";
  EXPECT_EQ(second.state(), ContextState::kStopped);
}

TEST(Lifecycle, GetActiveOrCreateBuildsOnlyWhereNoneIsActive) {
  static int built = 0;
  const BuildFunction build = [](StreamingContext& ssc) {
    ++built;
    ssc.QueueStream(RecordQueue<int64_t>()).ForeachBatch([](const Batch<int64_t>&) {});
  };
  StreamingContext made = StreamingContext::GetActiveOrCreate(Options("made"), build);
  EXPECT_EQ(built, 1);
  EXPECT_EQ(made.state(), ContextState::kInitialized);
  ASSERT_TRUE(made.Start().ok());
  StreamingContext same = StreamingContext::GetActiveOrCreate(Options("other"), build);
  EXPECT_EQ(built, 1);
  EXPECT_EQ(same.options().name, "made");
  EXPECT_TRUE(same.Stop().ok());
}

TEST(Lifecycle, AnActiveContextMayBeMoved) {
  StreamingContext ssc = Context();
  ASSERT_TRUE(ssc.Start().ok());
  const StreamingContext moved = std::move(ssc);
  EXPECT_EQ(moved.state(), ContextState::kActive);
  EXPECT_TRUE(StreamingContext::GetActive()->Stop().ok());
}

TEST(Lifecycle, TheLastHandleEndsTheJob) {
  {
    StreamingContext ssc = Context();
    ASSERT_TRUE(ssc.Start().ok());
  }
  EXPECT_FALSE(StreamingContext::GetActive().has_value());
}

// It would wait for the batch that it is part of.
TEST(Lifecycle, StopInAFunctionOfTheJobIsAnError) {
  StreamingContext ssc(Options("test"));
  RecordQueue<int64_t> queue;
  queue.Push({1});
  std::promise<Outcome> in_output, in_task;
  ssc.QueueStream(queue)
      .Map([&](int64_t n) {
        in_task.set_value(StreamingContext::GetActive()->Stop());
        return n;
      })
      .ForeachBatch([&](const Batch<int64_t>& batch) {
        if (!batch.empty()) in_output.set_value(StreamingContext::GetActive()->Stop());
      });
  ASSERT_TRUE(ssc.Start().ok());
  for (auto* promise : {&in_task, &in_output}) {
    const Outcome outcome = promise->get_future().get();
    EXPECT_EQ(outcome.exit_code, 3);
    EXPECT_THAT(outcome.message, HasSubstr("where it would wait for itself"));
  }
  EXPECT_TRUE(ssc.Stop().ok());
}

}  // namespace
}  // namespace sluice
