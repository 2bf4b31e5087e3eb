// What listeners hear of a job that runs.
#include <condition_variable>
#include <mutex>
#include <stdexcept>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Keeps all that it hears, as text. Batches are numbered from 1.
class Recorder : public StreamingListener {
 public:
  void OnBatchSubmitted(const BatchInfo& info) override { Add("submitted", info.time_ms); }
  void OnBatchStarted(const BatchInfo& info) override { Add("started", info.time_ms); }
  void OnBatchCompleted(const BatchInfo& info) override {
    last = info;
    Add("completed", info.time_ms, info.failure);
  }
  void OnOutputOperationStarted(const OutputOperationInfo& info) override {
    Add(info.name + " " + std::to_string(info.id) + " started", info.batch_ms);
  }
  void OnOutputOperationCompleted(const OutputOperationInfo& info) override {
    EXPECT_GE(info.end_ms, info.start_ms);
    Add(info.name + " " + std::to_string(info.id) + " completed", info.batch_ms, info.failure);
  }
  void OnReceiverStarted(const ReceiverInfo& info) override { Say(info.stream + " started"); }
  void OnReceiverError(const ReceiverInfo& info) override {
    Say(info.stream + " error: " + info.error);
  }
  void OnReceiverStopped(const ReceiverInfo& info) override { Say(info.stream + " stopped"); }

  // Blocks until it has heard a line that starts with this.
  void Await(const std::string& text) {
    std::unique_lock lock(mutex_);
    heard_.wait(lock, [&] {
      return std::any_of(lines_.begin(), lines_.end(), [&](const std::string& line) {
        return line.starts_with(text);
      });
    });
  }
  std::vector<std::string> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }
  BatchInfo last;

 private:
  void Add(const std::string& what, int64_t batch_ms, const std::string& failure = "") {
    Say(what + " " + std::to_string((batch_ms - TestContext::kZeroMs) / 1000) +
        (failure.empty() ? "" : ": " + failure));
  }
  void Say(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
    heard_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable heard_;
  std::vector<std::string> lines_;
};

TEST(Listeners, ABatchFromItsSubmissionToItsEnd) {
  const auto recorder = std::make_shared<Recorder>();
  TestContext test({.slots = 1});
  test.ssc().AddListener(recorder);
  TestInput<int64_t> numbers(test);
  numbers.stream().Print();
  numbers.stream().ForeachBatch([](const Batch<int64_t>&) {});
  numbers.Push({1, 2, 3});
  ASSERT_TRUE(test.RunBatch().ok());
  recorder->Await("completed 1");
  EXPECT_EQ(recorder->last.records, 3u);
  ASSERT_EQ(recorder->last.inputs.size(), 1u);
  EXPECT_EQ(recorder->last.inputs[0].stream, "queue-0");
  EXPECT_EQ(recorder->last.inputs[0].records, 3u);
  EXPECT_EQ(recorder->last.submission_ms, TestContext::kZeroMs + 1000);
  EXPECT_EQ(recorder->last.scheduling_delay_ms(), 0);  // the test's clock stands still
  EXPECT_EQ(recorder->last.total_delay_ms(), 0);
  ASSERT_TRUE(test.RunBatch().ok());
  recorder->Await("completed 2");
  // User code ends before the decision that publication follows.
  EXPECT_THAT(recorder->Take(),
              ElementsAre("submitted 1", "started 1", "Print 0 started 1",
                          "ForeachBatch 1 started 1", "ForeachBatch 1 completed 1",
                          "Print 0 completed 1", "completed 1",  //
                          "submitted 2", "started 2", "Print 0 started 2",
                          "ForeachBatch 1 started 2", "ForeachBatch 1 completed 2",
                          "Print 0 completed 2", "completed 2"));
}

TEST(Listeners, AFailedBatchCompletesWithItsCause) {
  const auto recorder = std::make_shared<Recorder>();
  TestContext test({.conf = {{"task_max_failures", "1"}}});
  test.ssc().AddListener(recorder);
  TestInput<int64_t> numbers(test);
  numbers.stream().Map([](int64_t) -> int64_t { throw std::runtime_error("no"); }).Print();
  numbers.Push({1});
  EXPECT_FALSE(test.RunBatch().ok());
  recorder->Await("completed 1: ");
  EXPECT_THAT(recorder->last.failure, HasSubstr("no"));
  const std::vector<std::string> heard = recorder->Take();
  EXPECT_THAT(heard.at(heard.size() - 2), HasSubstr("Print 0 completed 1: "));
}

TEST(Listeners, AnOutputWithoutADatasetHasNoOperation) {
  const auto recorder = std::make_shared<Recorder>();
  TestContext test;
  test.ssc().AddListener(recorder);
  TestInput<int64_t> numbers(test);
  numbers.stream().Print();
  numbers.PushNoDataset();
  ASSERT_TRUE(test.RunBatch().ok());
  recorder->Await("completed 1");
  EXPECT_THAT(recorder->Take(), ElementsAre("submitted 1", "started 1", "completed 1"));
}

// Fails at once, whenever it is run.
class Broken : public Receiver<int64_t> {
 public:
  void Run(Receiving<int64_t>&) override { throw std::runtime_error("no source"); }
};

TEST(Listeners, AReceiversBeginningAndItsErrors) {
  const auto recorder = std::make_shared<Recorder>();
  TestContext test;
  test.ssc().AddListener(recorder);
  test.ssc().ReceiverStream(Broken()).Print();
  ASSERT_TRUE(test.RunBatch().ok());
  recorder->Await("receiver-0 started");
  recorder->Await("receiver-0 error: stopped (no source), runs again");
}

// Tries what would wait for itself.
class Stopper : public StreamingListener {
 public:
  explicit Stopper(StreamingContext* context) : context_(context) {}
  void OnBatchCompleted(const BatchInfo&) override {
    const std::lock_guard lock(mutex_);
    outcomes_ = {context_->Stop(), context_->AwaitTermination()};
    done_.notify_all();
  }
  std::vector<Outcome> Await() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return !outcomes_.empty(); });
    return outcomes_;
  }

 private:
  StreamingContext* const context_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::vector<Outcome> outcomes_;
};

TEST(Listeners, StopInAListenerIsAnErrorAndNoDeadlock) {
  TestContext test;
  const auto stopper = std::make_shared<Stopper>(&test.ssc());
  test.ssc().AddListener(stopper);
  TestInput<int64_t> numbers(test);
  numbers.stream().Print();
  ASSERT_TRUE(test.RunBatch().ok());
  for (const Outcome& outcome : stopper->Await()) {
    EXPECT_EQ(outcome.exit_code, 3);
    EXPECT_THAT(outcome.message, HasSubstr("where it would wait for itself"));
  }
  EXPECT_TRUE(test.RunBatch().ok());
}

TEST(Listeners, ARemovedOneHearsNothing) {
  const auto removed = std::make_shared<Recorder>();
  const auto kept = std::make_shared<Recorder>();
  TestContext test;
  test.ssc().AddListener(removed);
  test.ssc().AddListener(kept);
  test.ssc().RemoveListener(removed);
  TestInput<int64_t> numbers(test);
  numbers.stream().Print();
  ASSERT_TRUE(test.RunBatch().ok());
  kept->Await("completed 1");
  EXPECT_THAT(removed->Take(), testing::IsEmpty());
}

}  // namespace
}  // namespace sluice
