// Executors of a worker that fall silent, end, and do not end.
#include "worker/daemon/worker_core_fixture.h"

namespace sluice::core_test {
namespace {

TEST_F(WorkerCoreTest, ASilentExecutorIsEndedButNotByALoopThatSlept) {
  Session(1, kThree);
  RunExecutor(2, "tasks");
  After(20);
  Done();
  Beat(2);
  now_ += 5'000 * kMs;  // nobody ran, this loop neither
  Step(worker::Tick{});
  for (const auto& word : Done()) EXPECT_NE(word, "kill 2");
  After(900);
  for (const auto& word : Done()) EXPECT_NE(word, "kill 2");
  After(200);
  const Words done = Done();
  EXPECT_EQ(std::count(done.begin(), done.end(), "kill 2"), 1);
  Step(worker::ProcessReaped{{kJob, 1, 2}, "signal 9", false, {}, {}});
  EXPECT_EQ(Done(), (Words{"exited: silent for a lease", "forget 2"}));
}

// A job waited for a disk of one node, for as long as that did not answer.
TEST_F(WorkerCoreTest, AnExecutorThatTheKernelHoldsBackIsGoneForItsJob) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  RunExecutor(2, "tasks");
  After(1100);
  Done();
  After(1900);
  for (const auto& word : Done()) EXPECT_NE(word.substr(0, 6), "exited");
  After(200);
  const Words done = Done();
  EXPECT_EQ(std::count(done.begin(), done.end(), "kill 2"), 1);
  EXPECT_EQ(std::count_if(done.begin(), done.end(),
                          [](const std::string& word) { return word.substr(0, 6) == "exited"; }),
            1) << "not the receiver, whose slices are not all known";
  const std::string held_back = "; SIGKILL does not end it, as where a disk hangs";
  EXPECT_EQ(std::count(done.begin(), done.end(), "exited: silent for a lease" + held_back), 1);
  Step(worker::ProcessReaped{{kJob, 1, 2}, "signal 9", false, {}, {}});
  EXPECT_EQ(Done(), (Words{"exited: silent for a lease", "forget 2"}));
}

// A job driver took the end of the first executor 4 for that of the one that it had taken up, and
// refused all that this one received from then on.
TEST_F(WorkerCoreTest, AJobDriverHearsOfNoEndOfExecutorsThatItWasNeverTold) {
  Session(1, kThree);
  RunExecutor(4, "receivers");
  RunExecutor(5, "receivers");
  Receive("jd:1", [](proto::Envelope& e) {
    e.mutable_stop_executor()->set_job_instance(kJob);
    e.mutable_stop_executor()->set_epoch(1);
    e.mutable_stop_executor()->set_executor(5);
  });
  Step(worker::ProcessReaped{{kJob, 1, 4}, "signal 9", false, {}, {}});
  Session(2, kThree);
  RunExecutor(4, "receivers", 2);
  RunExecutor(6, "tasks", 2);
  Session(3, kThree);
  Done();
  const auto ends_told = [&] {
    After(1000);
    const Words done = Done();
    return std::count_if(done.begin(), done.end(), [](const std::string& word) {
      return word.substr(0, 6) == "exited";
    });
  };
  Step(worker::ProcessReaped{{kJob, 1, 5}, "exit 0", false, {}, {}});
  Step(worker::ProcessReaped{{kJob, 2, 6}, "signal 9", false, {}, {}});
  EXPECT_EQ(ends_told(), 0);
  Step(worker::ProcessReaped{{kJob, 2, 4}, "signal 9", false, {}, {}});
  EXPECT_GT(ends_told(), 0);
}

// A receiver that was started so wrote blocks of another one's name once more, with other bytes.
TEST_F(WorkerCoreTest, AStartThatWasMeantForAFormerDaemonAtItsAddressStartsNothing) {
  Session(1, kThree);
  const auto start = [&](uint32_t executor, uint64_t incarnation) {
    Receive("jd:1", [&](proto::Envelope& e) {
      auto* start = e.mutable_start_executor();
      start->set_job_instance(kJob);
      start->set_epoch(1);
      start->set_executor(executor);
      start->set_role("tasks");
      start->set_binary_digest("d");
      start->set_worker_incarnation(incarnation);
    });
    return Done();
  };
  Done();
  EXPECT_EQ(start(4, /*incarnation=*/10), Words{});
  EXPECT_EQ(start(5, /*incarnation=*/11), Words{"fetch"});
}

// "worker list" showed it with pid 0 while it was started: who killed that killed himself.
TEST_F(WorkerCoreTest, AnExecutorIsListedFromItsProcessOn) {
  auto listed = [&] {
    proto::WorkerHeartbeat beat;
    core_.executors().AppendStatus(&beat);
    return beat;
  };
  Session(1, kThree);
  StartExecutor(2, "tasks");
  Step(worker::BinaryReady{"d", "/bin/d", ""});
  EXPECT_EQ(listed().executors_size(), 0);
  Step(worker::ProcessStarted{{kJob, 1, 2}, 102, ""});
  ASSERT_EQ(listed().executors_size(), 1);
  EXPECT_EQ(listed().executors(0).pid(), 102);
  EXPECT_EQ(listed().executors(0).job_instance(), kJob);
}

}  // namespace
}  // namespace sluice::core_test
