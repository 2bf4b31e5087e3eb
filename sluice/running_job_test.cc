// A program of RunJob that stops its own job, by the context that its build function was given.
#include "sluice/running_job.h"

#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "sluice/sluice.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

void Declare(StreamingContext& ssc) {
  ssc.QueueStream(RecordQueue<int64_t>()).ForeachBatch([](const Batch<int64_t>&) {});
}

std::unique_ptr<StreamingContext> Declared() {
  auto context = std::make_unique<StreamingContext>(JobOptions{.name = "job"});
  Declare(*context);
  return context;
}

TEST(RunningJobTest, EitherContextOfTheProgramAsksTheJobAndHearsOfItsEnd) {
  BuiltProgram program;
  program.context = Declared();
  program.second = Declared();
  RunningJob running;
  running.Attach(program);
  EXPECT_EQ(program.context->state(), ContextState::kActive);
  EXPECT_TRUE(program.context->Stop().ok());  // while the job is being started
  std::vector<bool> cancels;
  running.Begin([&](const StopRequested& stop) { cancels.push_back(stop.cancel); });
  EXPECT_TRUE(program.second->Stop({.drain = false}).ok());
  EXPECT_EQ(cancels, (std::vector<bool>{false, true}));
  EXPECT_EQ(program.second->state(), ContextState::kActive) << "Stop only asks";
  EXPECT_EQ(program.second->AwaitTerminationOrTimeout(0ms), std::nullopt);
  running.End({5, "late"});
  EXPECT_EQ(program.context->AwaitTermination().exit_code, 5);
  EXPECT_EQ(program.second->AwaitTermination().message, "late");
  EXPECT_EQ(program.context->state(), ContextState::kStopped);
  EXPECT_TRUE(program.context->Stop().ok());
  EXPECT_EQ(cancels.size(), 2u) << "there is no job to ask any more";
}

TEST(RunningJobTest, ThoseWhoWaitForAJobThatCouldNotBeStartedHearOfIt) {
  BuiltProgram program;
  program.context = Declared();
  program.second = Declared();
  {
    RunningJob running;
    running.Attach(program);
  }
  EXPECT_EQ(program.context->AwaitTermination().exit_code, 1);
}

// ---- a whole process ------------------------------------------------------------------------

std::promise<StreamingContext*> g_ran;  // a batch; with the context that the job is of

class AfterABatch : public StreamingListener {
 public:
  explicit AfterABatch(std::function<void()> act) : act_(std::move(act)) {}
  void OnBatchCompleted(const BatchInfo&) override {
    if (act_ != nullptr) std::exchange(act_, nullptr)();
  }

 private:
  std::function<void()> act_;
};

// The job's exit code. When it does not end the process does, by a signal.
int RunToItsEnd(BuildFunction build) {
  alarm(20);
  char name[] = "job";
  char* words[] = {name, nullptr};
  return RunJob(1, words, {.name = "job", .batch_interval = 10ms}, build);
}

class StoppedProgramTest : public testing::Test {
 protected:
  StoppedProgramTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

// Stop said that all was well, and the job went on.
TEST_F(StoppedProgramTest, AThreadStopsTheJob) {
  const auto run = [] {
    std::thread stopper([] {
      if (!g_ran.get_future().get()->Stop().ok()) std::_Exit(50);
    });
    const int code = RunToItsEnd([](StreamingContext& ssc) {
      Declare(ssc);
      ssc.AddListener(std::make_shared<AfterABatch>([&ssc] { g_ran.set_value(&ssc); }));
    });
    stopper.join();
    return code;
  };
  EXPECT_EXIT(std::exit(run()), testing::ExitedWithCode(0), "");
}

TEST_F(StoppedProgramTest, AListenerStopsTheJob) {
  const auto run = [] {
    return RunToItsEnd([](StreamingContext& ssc) {
      Declare(ssc);
      ssc.AddListener(std::make_shared<AfterABatch>([&ssc] {
        if (!ssc.Stop().ok()) std::_Exit(50);
      }));
    });
  };
  EXPECT_EXIT(std::exit(run()), testing::ExitedWithCode(0), "");
}

StreamingContext* g_last = nullptr;  // that the build function was given

TEST_F(StoppedProgramTest, WhicheverContextTheProgramKeptStopsTheJob) {
  const auto run = [] {
    return RunToItsEnd([](StreamingContext& ssc) {
      Declare(ssc);
      g_last = &ssc;
      ssc.AddListener(std::make_shared<AfterABatch>([] { g_last->Stop(); }));
    });
  };
  EXPECT_EXIT(std::exit(run()), testing::ExitedWithCode(0), "");
}

TEST_F(StoppedProgramTest, AJobThatItsBuildFunctionStopsDrainsAtOnce) {
  const auto run = [] {
    return RunToItsEnd([](StreamingContext& ssc) {
      Declare(ssc);
      ssc.Stop();
    });
  };
  EXPECT_EXIT(std::exit(run()), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace sluice
