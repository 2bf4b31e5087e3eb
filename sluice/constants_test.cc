// The values of StreamingContext::Constant over the lives of a job.
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/driver_role.h"
#include "sluice/runner_install.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::Optional;
using testing::Pair;
using testing::UnorderedElementsAre;

// What the program computes now, and what its batches saw since the job was started.
class World {
 public:
  void Begin(int64_t value) {
    const std::lock_guard lock(mutex_);
    value_ = value;
    seen_.clear();
  }
  int64_t value() {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  void See(const std::vector<int64_t>& records) {
    const std::lock_guard lock(mutex_);
    seen_.insert(seen_.end(), records.begin(), records.end());
    changed_.notify_all();
  }
  std::vector<int64_t> AwaitBatches() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return seen_.size() >= 3; });
    return seen_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t value_ = 0;
  std::vector<int64_t> seen_;
} g_world;

int64_t Ask(StreamingContext& ssc) {
  return ssc.Constant("value", [] { return g_world.value(); });
}

void UseInAFunction(StreamingContext& ssc) {
  const int64_t value = Ask(ssc);
  ssc.ConstantStream(std::vector<int64_t>{0})
      .Map([value](int64_t) { return value; })
      .ForeachBatch([](const Batch<int64_t>& batch) { g_world.See(batch.Collect()); });
}

void UseInTheGraph(StreamingContext& ssc) {
  ssc.ConstantStream(std::vector<int64_t>{Ask(ssc)})
      .ForeachBatch([](const Batch<int64_t>& batch) { g_world.See(batch.Collect()); });
}

class ConstantsTest : public testing::TestWithParam<BuildFunction> {
 protected:
  ConstantsTest() {
    folder_ = testing::TempDir() + "constants";
    std::filesystem::remove_all(folder_);
  }
  JobOptions Options() const {
    return {.name = "constants",
            .batch_interval = std::chrono::milliseconds(10),
            .checkpoint = "rocksdb:" + folder_,
            .conf = {{"partitions", "1"}}};
  }
  // Runs some batches of the job while `value` is what the program would compute; then it is left
  // as after a crash, or drained. What the batches saw.
  std::vector<int64_t> Run(int64_t value, bool drained) {
    g_world.Begin(value);
    StreamingContext ssc = StreamingContext::GetOrCreate(Options(), GetParam());
    const Outcome started = ssc.Start();
    EXPECT_TRUE(started.ok()) << started.message;
    if (!started.ok()) return {};
    std::vector<int64_t> seen = g_world.AwaitBatches();
    if (drained) {
      EXPECT_TRUE(ssc.Stop().ok());
    }
    return seen;
  }

  std::string folder_;
};

TEST_P(ConstantsTest, AValueIsThatOfTheFirstStartUntilTheJobIsDrained) {
  EXPECT_THAT(Run(1, false), Each(1));
  EXPECT_THAT(Run(2, false), Each(1));
  EXPECT_THAT(Run(3, true), Each(1));
  EXPECT_THAT(Run(4, true), Each(4));
}

INSTANTIATE_TEST_SUITE_P(, ConstantsTest, testing::Values(&UseInAFunction, &UseInTheGraph));

TEST(TestContextConstants, AnotherValueIsRefusedWhereNothingCanBeBuiltAgain) {
  const std::string folder = testing::TempDir() + "constants-of-a-test";
  std::filesystem::remove_all(folder);
  for (const int64_t value : {1, 2}) {
    g_world.Begin(value);
    TestContext test({.checkpoint = folder});
    UseInAFunction(test.ssc());
    Outcome ran = test.RunBatch();
    if (ran.ok()) ran = test.RunBatch();  // the first has a checkpoint
    EXPECT_EQ(ran.exit_code, value == 1 ? 0 : 3);
    EXPECT_THAT(ran.message, HasSubstr(value == 1 ? "" : "a constant has another value"));
  }
}

// A job that has begun, with one batch decided.
JobState Begun(bool settled) {
  JobState job;
  proto::Entry begun, seen, planned, decided, sealed;
  begun.mutable_job_begun()->set_job_instance(1);
  (*seen.mutable_program_seen()->mutable_constants())["a"] = "logged";
  (*seen.mutable_program_seen()->mutable_constants())["b"] = "same";
  planned.mutable_planned()->mutable_composition()->set_batch_ms(10);
  decided.mutable_decided()->set_batch_ms(10);
  sealed.mutable_sealed()->set_batch_ms(10);
  for (const auto& entry : {begun, seen, planned, decided}) EXPECT_TRUE(job.Apply(entry).ok());
  if (settled) {
    EXPECT_TRUE(job.Apply(sealed).ok());
  }
  return job;
}

TEST(LoggedConstants, HoldForWhatIsNotSettledAndForWhatIsRelaunched) {
  const ConstantValues computed{{"a", "now"}, {"b", "same"}, {"c", "more"}};
  const auto logged =
      UnorderedElementsAre(Pair("a", "logged"), Pair("b", "same"), Pair("c", "more"));
  EXPECT_THAT(LoggedConstants(Begun(false), false, computed), Optional(logged));
  EXPECT_THAT(LoggedConstants(Begun(false), true, computed), Optional(logged));
  EXPECT_THAT(LoggedConstants(Begun(true), true, computed), Optional(logged));
  EXPECT_EQ(LoggedConstants(Begun(true), false, computed), std::nullopt);
  EXPECT_EQ(LoggedConstants(JobState(), true, computed), std::nullopt);
  EXPECT_EQ(LoggedConstants(Begun(false), false, {{"a", "logged"}, {"c", "more"}}), std::nullopt);
}

}  // namespace
}  // namespace sluice
