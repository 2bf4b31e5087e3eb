// For unit tests of jobs: the whole engine in this process, on scripted input and a clock that the
// test moves. What runs is what runs on a cluster, down to log, shuffles and state.
//
//   TEST(WordCount, CountsTheWordsOfABatch) {
//     sluice::TestContext test;
//     sluice::TestInput<std::string> lines(test);
//     sluice::TestOutput counts(test, CountWords(lines.stream()));   // the code under test
//     lines.Push({"to be or", "not to be"});
//     test.RunBatch();
//     EXPECT_THAT(*counts.last(), UnorderedElementsAre(Pair("to", 2), Pair("be", 2), ...));
//   }
//
// Inputs, outputs and the code under test are declared before the first batch runs, on one thread;
// of what comes later RunBatch says that it is too late.
// It is in the library that jobs link; `pkg-config sluice` finds it too.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "driver/api/api.h"

namespace sluice {

struct TestOptions {
  std::chrono::milliseconds batch_interval{1000};
  uint32_t partitions = 2;  // of shuffles that do not say how many, where no `partitions` is set
  uint32_t slots = 2;       // tasks at a time, and tasks of a source
  Args args{};              // what the code under test asks StreamingContext::args for
  // As set by the program; worker_lease, log_sync and log_url have no effect here.
  std::vector<std::pair<std::string, std::string>> conf{};
  std::string checkpoint{};  // absolute directory: log and state outlive the context, which a
                             // later one with the same directory takes up
};

// Not thread-safe. Its end ends the job, at once.
class TestContext {
 public:
  // Batch times count from here, rounded down to a multiple of the batch interval: the first
  // batch's is this and one interval.
  static constexpr int64_t kZeroMs = 1'000'000'000'000;

  explicit TestContext(TestOptions options = {});
  TestContext(const TestContext&) = delete;
  TestContext& operator=(const TestContext&) = delete;
  ~TestContext();

  // What the code under test declares its streams in. Its Stop ends the job once a batch has run,
  // with a last batch if it is to drain; Start is not for tests.
  StreamingContext& ssc();

  // Moves the clock by one batch interval and returns when the batch that is then due has run and
  // all its output is out. The first call starts the job. Not ok: the program is wrong, or the job
  // has ended, with what its user would read.
  Outcome RunBatch() { return RunBatchAfter(1); }
  // The same, after `ticks` intervals: all but the last are missed, as when a machine was asleep.
  Outcome RunBatchAfter(int ticks);

  // What `sluice job letters --replay` does: the job's letters are input of the next batch, each
  // once. Not ok (1): of some it is refused, and why.
  Outcome ReplayLetters();

  // The newest batch's time; 0 before the first.
  int64_t batch_ms() const;
  // What Print wrote at the newest batch.
  std::string printed() const;

 private:
  struct State;
  class Runner;
  std::unique_ptr<State> state_;
};

// A source whose batches the test writes. A batch that was not written is an empty dataset.
template <Record T>
class TestInput {
 public:
  explicit TestInput(TestContext& test) : stream_(test.ssc().QueueStream(queue_)) {}

  DStream<T> stream() const { return stream_; }
  // The records of the next batch without any.
  void Push(const std::vector<T>& records) { queue_.Push(records); }
  // At the next batch the stream has no dataset, which is less than an empty one.
  void PushNoDataset() { queue_.PushNoDataset(); }

 private:
  RecordQueue<T> queue_;
  DStream<T> stream_;
};

// Keeps what a stream gives, batch by batch.
template <Record T>
class TestOutput {
 public:
  template <class Chain>
  TestOutput(TestContext& test, const DStream<T, Chain>& stream) : test_(&test) {
    stream.ForeachBatch([kept = kept_](const Batch<T>& batch) {
      std::vector<T> records = batch.Collect();
      std::lock_guard lock(kept->mutex);
      kept->batches.emplace_back(batch.time_ms(), std::move(records));
    });
  }

  // The records of the newest batch, partition by partition; nothing: there was no dataset.
  std::optional<std::vector<T>> last() const {
    std::lock_guard lock(kept_->mutex);
    if (kept_->batches.empty() || kept_->batches.back().first != test_->batch_ms()) {
      return std::nullopt;
    }
    return kept_->batches.back().second;
  }
  // The records of all batches, oldest first.
  std::vector<T> all() const {
    std::lock_guard lock(kept_->mutex);
    std::vector<T> all;
    for (const auto& [time_ms, records] : kept_->batches) {
      all.insert(all.end(), records.begin(), records.end());
    }
    return all;
  }

 private:
  struct Kept {
    std::mutex mutex;  // the function of ForeachBatch has a thread of its own
    std::vector<std::pair<int64_t, std::vector<T>>> batches;
  };
  TestContext* test_;
  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();
};
template <Record T, class Chain>
TestOutput(TestContext&, const DStream<T, Chain>&) -> TestOutput<T>;

}  // namespace sluice
