// What jobs have of the cluster: slots, stored binaries, and room to start in.
#include "common/role_flags.h"
#include "driver/daemon/daemon_core_fixture.h"

namespace sluice::daemon {
namespace {

TEST_F(DaemonTest, AJobThatWasTakenGetsItsShareAndTheFirstGetsItBack) {
  Begin();
  WorkerUp("w1");
  Submit("a");
  StartUp("a", 10);
  Submit("b");
  EXPECT_EQ(core_->Job("a")->slots(), 2u);  // b may yet be refused
  StartUp("b", 11);
  EXPECT_EQ(core_->Job("a")->slots(), 1u);
  EXPECT_EQ(core_->Job("b")->slots(), 1u);
  EXPECT_EQ(MembersTold(10), 1);
  EXPECT_EQ(MembersTold(11), 1);
  Exit("b", 11, 0);
  EXPECT_EQ(core_->Job("a")->slots(), 2u);
}

TEST_F(DaemonTest, AJobThatFindsNoSlotHoldsNoneUntilAnotherEnds) {
  Begin();
  WorkerUp("w1");
  Submit("a", {{"max_slots", "2"}});
  StartUp("a", 10);
  Submit("b");
  StartUp("b", 11);
  EXPECT_EQ(core_->Job("a")->slots(), 2u);
  EXPECT_EQ(core_->Job("b")->slots(), 0u);
  EXPECT_EQ(MembersTold(11), 0);
  Exit("a", 10, 0);
  EXPECT_EQ(core_->Job("b")->slots(), 2u);
  EXPECT_EQ(MembersTold(11), 1);
}

TEST_F(DaemonTest, SlotsOnAWorkerThatIsGoneAreNotShown) {
  Begin();
  WorkerUp("w1");
  Submit("wc");
  StartUp("wc", 10);
  EXPECT_EQ(core_->Job("wc")->slots(), 2u);
  Do(PeerDown{"w1:1", /*refused=*/true});
  EXPECT_EQ(core_->Job("wc")->slots(), 0u);
  WorkerUp("w2");  // the same node with a new data directory
  EXPECT_EQ(core_->Job("wc")->slots(), 2u);
}

TEST_F(DaemonTest, ABinaryIsNeededWhileItsJobRunsAndThenAsLongAsItsCheckpoint) {
  using Digests = std::set<std::string>;
  Begin();
  for (const char* name : {"a", "b"}) {
    SubmitJob event{1, {}, "run", 0};
    event.spec.set_name(name);
    event.spec.set_binary_digest(std::string("of-") + name);
    if (event.spec.name() == "b") event.spec.set_checkpoint("rocksdb:/b");
    Do(event);
  }
  StartUp("a", 10);
  StartUp("b", 20);
  proto::Envelope message;
  message.mutable_job_status()->set_job("b");
  message.mutable_job_status()->set_epoch(1);
  message.mutable_job_status()->add_binaries("former");
  Do(Received{"driver:20", message});
  EXPECT_EQ(disk_.jobs(1).status().binaries_size(), 1);  // worth a line on disk
  EXPECT_EQ(core_->BinariesInUse(), (Digests{"of-a", "of-b", "former"}));
  Exit("a", 10, 0);
  Exit("b", 20, 0);
  EXPECT_EQ(core_->BinariesInUse(), (Digests{"of-b", "former"}));
  WorkerUp("w");
  ASSERT_FALSE(Last<Send>().empty());
  EXPECT_EQ(Last<Send>()[0].message.worker_registered().binaries_size(), 2);
  EXPECT_EQ(core_->CheckpointsLeft(), std::vector<std::string>{"rocksdb:/b"});
  core_->SetCheckpointsGone({"rocksdb:/b"});
  EXPECT_EQ(core_->BinariesInUse(), Digests{});
}

// A job that had run for days was given up after a minute without room.
TEST_F(DaemonTest, AJobIsNotGivenUpWhileItsDriverFindsNoRoomToStart) {
  Begin();
  Submit("wc", {{"driver_restarts", "1"}});
  StartUp("wc", 10);
  Kill("wc", 10);
  for (int i = 0; i < 12; ++i) {
    Pass(10 * kSecond);
    ASSERT_EQ(Last<StartDriver>().size(), 1u) << i;
    if (i % 2 == 0) {
      Do(DriverNotStarted{"wc", "no space"});
    } else {
      Do(DriverStarted{"wc", 20 + i, 77});
      Exit("wc", 20 + i, kExitUsedUp);
    }
    EXPECT_EQ(State("wc"), "RECOVERING") << i;
  }
  EXPECT_EQ(core_->Job("wc")->driver_restarts(), 1u);
  Pass(10 * kSecond);
  StartUp("wc", 50);
  EXPECT_EQ(core_->Job("wc")->driver_pid(), 50);
}

TEST_F(DaemonTest, ADrainIsOverInTimeAlsoWhenItsDriverFindsNoRoomToStart) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Kill("wc", 10);
  Do(StopJob{2, "wc", true, 1000});
  for (int i = 0; i < 4; ++i) {
    Pass(10 * kSecond);
    Do(DriverNotStarted{"wc", "no space"});
  }
  EXPECT_EQ(State("wc"), "FAILED");
  EXPECT_EQ(core_->Job("wc")->status().exit_code(), 5);
}

// It was answered with 1, and started when there was room.
TEST_F(DaemonTest, ASubmissionThatIsNotOnDiskIsNotTaken) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Exit("wc", 10, 0);
  ASSERT_EQ(State("wc"), "FINISHED");
  disk_full_ = true;
  Submit("wc");
  Submit("other");
  EXPECT_EQ(State("wc"), "FINISHED") << "the former one is back";
  EXPECT_EQ(core_->Jobs().size(), 1u);
  disk_full_ = false;
  Do(DriverNotStarted{"other", "no space"});
  Pass(10 * kSecond);
  EXPECT_TRUE(Last<StartDriver>().empty());
}

class ExecutorsLeftTest : public DaemonTest {
 protected:
  void SetUp() override {
    Begin();
    WorkerUp("a");
  }
  // Job and instance of each executor that the worker lists; the instances that are called over.
  std::vector<uint64_t> Over(const std::vector<std::pair<std::string, uint64_t>>& executors) {
    proto::Envelope message;
    message.mutable_worker_heartbeat()->set_worker_id("a");
    message.mutable_worker_heartbeat()->set_incarnation(1);
    for (const auto& [job, instance] : executors) {
      auto* executor = message.mutable_worker_heartbeat()->add_executors();
      executor->set_job(job);
      executor->set_job_instance(instance);
    }
    Do(Received{"a:1", message});
    std::vector<uint64_t> over;
    for (const Send& send : Last<Send>()) {
      EXPECT_EQ(send.to, "a:1");
      const auto& instances = send.message.jobs_over().job_instances();
      over.insert(over.end(), instances.begin(), instances.end());
    }
    return over;
  }
};
using Instances = std::vector<uint64_t>;

// Receivers of a job whose driver was given up went on until the workers' disks were full.
TEST_F(ExecutorsLeftTest, OfAJobThatHasEndedAreEnded) {
  Submit("ended", {{"driver_restarts", "0"}});
  StartUp("ended", 10, 70);
  Submit("runs");
  StartUp("runs", 11, 80);
  const auto listed = {std::pair<std::string, uint64_t>("ended", 70), {"ended", 70},
                       {"runs", 80}, {"unknown", 90}};
  EXPECT_EQ(Over(listed), Instances{});
  Kill("ended", 10);
  ASSERT_EQ(State("ended"), "FAILED");
  EXPECT_EQ(Over(listed), Instances{70});
}

// They lived on, and took records away from the new job.
TEST_F(ExecutorsLeftTest, OfAnInstanceWhoseNameIsTakenAgainAreEnded) {
  Submit("wc", {{"driver_restarts", "0"}});
  StartUp("wc", 10, 70);
  Kill("wc", 10);
  Submit("wc");
  EXPECT_EQ(Over({{"wc", 70}}), Instances{}) << "it may be taken up again";
  StartUp("wc", 12, 71);
  EXPECT_EQ(Over({{"wc", 70}, {"wc", 71}}), Instances{70});
  Begin(disk_);
  WorkerUp("a");
  EXPECT_EQ(Over({{"wc", 70}, {"wc", 71}}), Instances{70}) << "the next daemon knows it too";
}

TEST_F(ExecutorsLeftTest, BlocksOfAFinishedJobOnlyAreNobodysAnyMore) {
  for (const char* name : {"finished", "failed", "runs"}) Submit(name, {{"driver_restarts", "0"}});
  StartUp("finished", 10, 70);
  StartUp("failed", 11, 80);
  StartUp("runs", 12, 90);
  Kill("failed", 11);
  Status("finished", 10, "FINISHED");
  Exit("finished", 10, 0);
  ASSERT_EQ(State("finished"), "FINISHED");
  proto::Envelope message;
  message.mutable_worker_heartbeat()->set_worker_id("a");
  message.mutable_worker_heartbeat()->set_incarnation(1);
  for (const uint64_t instance : {70, 80, 90, 100}) {
    message.mutable_worker_heartbeat()->add_silent_jobs(instance);
  }
  Do(Received{"a:1", message});
  ASSERT_EQ(Last<Send>().size(), 1u);
  const proto::JobsOver over = Last<Send>()[0].message.jobs_over();
  ASSERT_EQ(over.finished_size(), 1);
  EXPECT_EQ(over.finished(0), 70u);
  EXPECT_EQ(over.job_instances_size(), 0);
  // What a job goes on with is not judged by the row of another name.
  Submit("goes on");
  Do(Received{"a:1", message});
  EXPECT_TRUE(Last<Send>().empty()) << "it may be that one";
  StartUp("goes on", 13, 70);
  Do(Received{"a:1", message});
  EXPECT_TRUE(Last<Send>().empty());
}

// They stayed until their workers restarted.
TEST_F(ExecutorsLeftTest, BlocksOfAJobThatNobodyTookUpForLongAreNobodysAnyMore) {
  for (const char* name : {"failed", "runs"}) Submit(name, {{"driver_restarts", "0"}});
  StartUp("failed", 11, 80);
  StartUp("runs", 12, 90);
  Kill("failed", 11);
  proto::Envelope message;
  auto& beat = *message.mutable_worker_heartbeat();
  beat.set_worker_id("a");
  beat.set_incarnation(1);
  for (const uint64_t instance : {80, 90, 100}) beat.add_silent_jobs(instance);
  Do(Received{"a:1", message});
  EXPECT_TRUE(Last<Send>().empty());
  for (const uint64_t instance : {80, 90, 100}) beat.add_left_jobs(instance);
  Do(Received{"a:1", message});
  ASSERT_EQ(Last<Send>().size(), 1u);
  const proto::JobsOver over = Last<Send>()[0].message.jobs_over();
  EXPECT_EQ(Instances(over.finished().begin(), over.finished().end()), (Instances{80, 100}));
}

TEST_F(ExecutorsLeftTest, BlocksOfACancelledJobWithoutACheckpointAreNobodysAnyMore) {
  for (const std::string checkpoint : {"", "rocksdb:/d"}) {
    const std::string name = checkpoint.empty() ? "none" : "kept";
    SubmitJob event{1, {}, "run", 0};
    event.spec.set_name(name);
    event.spec.set_checkpoint(checkpoint);
    Do(event);
    StartUp(name, checkpoint.empty() ? 10 : 11, checkpoint.empty() ? 70 : 80);
    Do(StopJob{2, name, /*drain=*/false, 1'000});
    Exit(name, checkpoint.empty() ? 10 : 11, 0);
    ASSERT_EQ(State(name), "CANCELLED");
  }
  proto::Envelope message;
  message.mutable_worker_heartbeat()->set_worker_id("a");
  message.mutable_worker_heartbeat()->set_incarnation(1);
  for (const uint64_t instance : {70, 80}) {
    message.mutable_worker_heartbeat()->add_silent_jobs(instance);
  }
  Do(Received{"a:1", message});
  ASSERT_EQ(Last<Send>().size(), 1u);
  const proto::JobsOver over = Last<Send>()[0].message.jobs_over();
  EXPECT_EQ(Instances(over.finished().begin(), over.finished().end()), Instances{70});
}

// Until their workers restarted: an error, the mended program, an error...
TEST_F(ExecutorsLeftTest, BlocksOfAJobWhoseLogIsAnothersNowAreNobodysAnyMore) {
  const auto submit = [&](const char* name, const char* checkpoint) {
    SubmitJob event{1, {}, "run", 0};
    event.spec.set_name(name);
    event.spec.set_checkpoint(checkpoint);
    Do(event);
  };
  const auto fail = [&](const char* name, int64_t pid) { Exit(name, pid, 1); };
  submit("none", "");
  submit("anew", "rocksdb:/d");
  submit("elsewhere", "rocksdb:/e");
  StartUp("none", 10, 70);
  StartUp("anew", 11, 80);
  StartUp("elsewhere", 12, 90);
  proto::Envelope message;
  message.mutable_worker_heartbeat()->set_worker_id("a");
  message.mutable_worker_heartbeat()->set_incarnation(1);
  for (const uint64_t instance : {70, 80, 90}) {
    message.mutable_worker_heartbeat()->add_silent_jobs(instance);
  }
  const auto over = [&] {
    Do(Received{"a:1", message});
    const std::vector<Send> sent = Last<Send>();
    if (sent.empty()) return Instances{};
    const auto& instances = sent[0].message.jobs_over().finished();
    return Instances(instances.begin(), instances.end());
  };
  fail("none", 10);
  fail("anew", 11);
  fail("elsewhere", 12);
  EXPECT_EQ(over(), Instances{}) << "they may be looked into, and taken up";
  submit("none", "");
  submit("anew", "rocksdb:/d");
  submit("elsewhere", "");
  EXPECT_EQ(over(), Instances{});
  StartUp("none", 20, 71);
  StartUp("anew", 21, 81);
  StartUp("elsewhere", 22, 91);
  EXPECT_EQ(over(), (Instances{70, 80}));
}

// What the program itself had set was shown, and not gone by.
TEST_F(DaemonTest, AJobDriverSaysHowOftenAndHowLong) {
  settings_.emplace();
  settings_->set_driver_restarts(0);
  settings_->set_drain_deadline_ms(300);
  Begin();
  Submit("one");
  StartUp("one", 10);
  Kill("one", 10);
  EXPECT_EQ(State("one"), "FAILED");
  Submit("two");
  StartUp("two", 11);
  Do(StopJob{2, "two", true, /*deadline_ms=*/0});
  ASSERT_FALSE(Last<Send>().empty());
  EXPECT_EQ(Last<Send>()[0].message.job_stop().deadline_ms(), 300u);
  Pass(6 * kSecond);
  EXPECT_EQ(Last<KillDriver>().size(), 1u);
}

}  // namespace
}  // namespace sluice::daemon
