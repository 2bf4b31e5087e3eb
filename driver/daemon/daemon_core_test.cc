#include "driver/daemon/daemon_core_fixture.h"

namespace sluice::daemon {
namespace {

TEST_F(DaemonTest, ASubmittedJobIsOnDiskBeforeItStartsAndBeforeTheAnswer) {
  Begin();
  Submit("wc");
  ASSERT_TRUE(std::holds_alternative<Persist>(last_[0]));
  ASSERT_EQ(Last<StartDriver>().size(), 1u);
  EXPECT_TRUE(Last<StartDriver>()[0].first);
  EXPECT_EQ(Answered(), 0);
  EXPECT_EQ(State("wc"), "WAITING");
}

TEST_F(DaemonTest, ASecondRunningJobOfTheNameIsRefusedAndAnEndedOneReplaced) {
  Begin();
  Submit("wc");
  Submit("wc");
  EXPECT_EQ(Answered(), 3);
  Do(DriverStarted{"wc", 10, 0});
  Exit("wc", 10, 0);
  EXPECT_EQ(State("wc"), "FINISHED");
  Submit("wc");
  EXPECT_EQ(Answered(), 0);
  EXPECT_EQ(core_->Jobs().size(), 1u);
}

TEST_F(DaemonTest, ExitCodesEndTheJobOrNot) {
  struct Row { int code; const char* state; } rows[] = {
      {0, "FINISHED"}, {1, "FAILED"}, {2, "FAILED"}, {3, "FAILED"}, {5, "FAILED"},
      {7, "FENCED"},   {8, "FAILED"}, {4, "RECOVERING"}, {42, "RECOVERING"}};
  for (const Row& row : rows) {
    Begin();
    Submit("wc");
    StartUp("wc", 10);
    Exit("wc", 10, row.code);
    EXPECT_EQ(State("wc"), row.state) << row.code;
    if (core_->Job("wc")->ended()) {
      EXPECT_EQ(core_->Job("wc")->status().exit_code(), row.code);
    }
  }
}

TEST_F(DaemonTest, AJobWhoseStoreDeniesItsFirstStartIsNotTriedForMinutes) {
  for (const int code : {4, 6}) {
    Begin();
    Submit("wc");
    Do(DriverStarted{"wc", 10, 77});
    Exit("wc", 10, code);
    EXPECT_EQ(State("wc"), "FAILED");
    EXPECT_EQ(core_->Job("wc")->status().exit_code(), code);
    Begin();
    Submit("wc");
    StartUp("wc", 10);
    Exit("wc", 10, code);
    EXPECT_EQ(State("wc"), "RECOVERING") << "one that has run is tried again";
  }
}

TEST_F(DaemonTest, ACrashedDriverIsRelaunchedWithBackOffAndNotAfresh) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Kill("wc", 10);
  EXPECT_TRUE(Last<StartDriver>().empty());
  Pass(kSecond / 10);
  ASSERT_EQ(Last<StartDriver>().size(), 1u);
  EXPECT_FALSE(Last<StartDriver>()[0].first);
  StartUp("wc", 11);
  Kill("wc", 11);
  Pass(kSecond / 10);
  EXPECT_TRUE(Last<StartDriver>().empty()) << "the second wait is longer";
  Pass(kSecond / 10);
  EXPECT_EQ(Last<StartDriver>().size(), 1u);
  EXPECT_EQ(core_->Job("wc")->driver_restarts(), 2u);
}

// The status of a failed job promised that the next start would go on.
TEST_F(DaemonTest, AJobThatEndsSaysWhatItsLastDriverSaidAndNotOneBefore) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Kill("wc", 10);
  EXPECT_EQ(core_->Job("wc")->status().failure(), "the job driver was killed by signal 9");
  Pass(kSecond);
  Do(DriverStarted{"wc", 11, 78});
  Exit("wc", 11, 8);
  EXPECT_EQ(State("wc"), "FAILED");
  EXPECT_EQ(core_->Job("wc")->status().failure(), "last words");
}

// It began afresh, and published a second time what it had published before.
TEST_F(DaemonTest, AJobWhoseLogIsGoneIsNotBegunAnewWhenItIsSubmittedAgain) {
  Begin();
  const auto first = [&](const std::string& checkpoint, bool fresh) {
    SubmitJob event{1, {}, "run", 0};
    event.spec.set_name("wc");
    event.spec.set_checkpoint(checkpoint);
    event.spec.set_fresh(fresh);
    Do(event);
    return Last<StartDriver>().at(0).first;
  };
  EXPECT_TRUE(first("rocksdb:/c", false));
  StartUp("wc", 10);
  Exit("wc", 10, 8);
  EXPECT_FALSE(first("rocksdb:/c", false));
  Do(DriverStarted{"wc", 11, 78});
  Exit("wc", 11, 8);
  EXPECT_FALSE(first("rocksdb:/c", false));
  Do(DriverStarted{"wc", 12, 79});
  Exit("wc", 12, 4);  // the store was away, so nobody knows
  EXPECT_FALSE(first("rocksdb:/c", false));
  Do(DriverStarted{"wc", 12, 79});
  Exit("wc", 12, 8);
  EXPECT_TRUE(first("rocksdb:/c", true));
  StartUp("wc", 13);
  Exit("wc", 13, 8);
  EXPECT_TRUE(first("rocksdb:/other", false));
}

TEST_F(DaemonTest, RelaunchesInARowAreBoundedAndADecidedBatchBeginsANewRow) {
  Begin();
  Submit("wc", {{"driver_restarts", "2"}});
  int64_t pid = 10;
  for (int i = 0; i < 2; ++i, ++pid) {
    StartUp("wc", pid);
    Kill("wc", pid);
    Pass(kSecond);
  }
  StartUp("wc", pid);
  Status("wc", pid, "RUNNING", 1);
  Kill("wc", pid);
  EXPECT_EQ(State("wc"), "RECOVERING");
  for (int i = 0; i < 2; ++i) {
    Pass(kSecond);
    StartUp("wc", ++pid);
    Kill("wc", pid);
  }
  EXPECT_EQ(State("wc"), "FAILED");
  EXPECT_EQ(core_->Job("wc")->status().exit_code(), 1);
}

TEST_F(DaemonTest, AFencedDriverEndsTheJobOnlyIfNoOtherIsThere) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Register("wc", 11, 2);
  Exit("wc", 10, 7);
  EXPECT_FALSE(core_->Job("wc")->ended());
  EXPECT_EQ(core_->Job("wc")->driver_pid(), 11);
  ASSERT_EQ(Last<WatchDriver>().size(), 1u);
  Exit("wc", 11, 7);
  EXPECT_EQ(State("wc"), "FENCED");
}

TEST_F(DaemonTest, AReturningDaemonAdoptsADriverThatRegisters) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Begin(disk_);
  Pass(kSecond);
  Register("wc", 10);
  ASSERT_EQ(Last<WatchDriver>().size(), 1u);
  EXPECT_EQ(Last<WatchDriver>()[0].start_time, 77u);
  Pass(10 * kSecond);
  EXPECT_TRUE(Last<StartDriver>().empty());
  EXPECT_TRUE(Last<EndFormer>().empty());
}

TEST_F(DaemonTest, AReturningDaemonEndsTheFormerProcessBeforeItRelaunches) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Begin(disk_);
  Pass(4 * kSecond);
  EXPECT_TRUE(Last<EndFormer>().empty());
  Pass(2 * kSecond);
  ASSERT_EQ(Last<EndFormer>().size(), 1u);
  EXPECT_EQ(Last<EndFormer>()[0].pid, 10);
  EXPECT_TRUE(Last<StartDriver>().empty());
  Do(FormerEnded{"wc"});
  Pass(kSecond);
  EXPECT_EQ(Last<StartDriver>().size(), 1u);
}

TEST_F(DaemonTest, AReturningDaemonSaysNothingOfWorkersBeforeTheyHadALease) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Begin(disk_);
  Register("wc", 10);
  EXPECT_EQ(MembersTold(10), -1);
  WorkerUp("w1");
  EXPECT_EQ(MembersTold(10), -1);
  for (int i = 0; i < 6; ++i) {
    Pass(kSecond);
    Beat("w1");
  }
  Pass(2 * kSecond);
  EXPECT_EQ(MembersTold(10), 1);
}

TEST_F(DaemonTest, AnAdoptedDriverThatEndedIsJudgedByItsLastReport) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Begin(disk_);
  Register("wc", 10);
  Status("wc", 10, "FINISHED");
  Do(DriverExited{"wc", 10, std::nullopt, 0, ""});
  EXPECT_EQ(State("wc"), "FINISHED");
}

TEST_F(DaemonTest, MembersAreToldOnEveryChange) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  EXPECT_EQ(MembersTold(10), 0);
  WorkerUp("w1");
  EXPECT_EQ(MembersTold(10), 1);
  WorkerUp("w2");
  EXPECT_EQ(MembersTold(10), 2);
  Do(PeerDown{"w2:1", false});
  EXPECT_EQ(MembersTold(10), -1) << "a broken link proves nothing";
  Do(PeerDown{"w2:1", true});
  EXPECT_EQ(MembersTold(10), 1);
  WorkerUp("w2", 2, /*incarnation=*/2);
  EXPECT_EQ(MembersTold(10), 2);
}

TEST_F(DaemonTest, ASilentWorkerIsLostAfterItsLease) {
  Begin();
  WorkerUp("w1");
  WorkerUp("w2");
  for (int i = 0; i < 7; ++i) {
    Pass(kSecond);
    Beat("w1");
  }
  ASSERT_EQ(core_->Workers().size(), 2u);
  EXPECT_EQ(core_->Workers()[0].state(), "UP");
  EXPECT_EQ(core_->Workers()[1].state(), "LOST");
}

// The two come over different links.
TEST_F(DaemonTest, ADrainedWorkersLastWordCountsBehindTheEndOfItsLinkToo) {
  Begin();
  WorkerUp("w1");
  Do(PeerDown{"w1:1", true});
  EXPECT_EQ(core_->Workers()[0].state(), "LOST");
  proto::Envelope last;
  last.mutable_worker_heartbeat()->set_worker_id("w1");
  last.mutable_worker_heartbeat()->set_incarnation(1);
  last.mutable_worker_heartbeat()->set_drain("drained");
  Do(Received{"w1:1", last});
  EXPECT_EQ(core_->Workers()[0].state(), "DRAINED");
}

// Of two workers that drain, the later one to be told must see the former.
TEST_F(DaemonTest, AWorkerThatDrainsIsNamedSoToItsJobsForGood) {
  Begin();
  WorkerUp("w1");
  WorkerUp("w2");
  Submit("wc");
  StartUp("wc", 10);
  EXPECT_EQ(DrainingTold(10), std::set<std::string>{});
  proto::Envelope beat;
  beat.mutable_worker_heartbeat()->set_worker_id("w1");
  beat.mutable_worker_heartbeat()->set_incarnation(1);
  beat.mutable_worker_heartbeat()->set_drain("draining");
  Do(Received{"w1:1", beat});
  EXPECT_EQ(DrainingTold(10), std::set<std::string>{"w1"});
  Beat("w1");  // a former one, over a link that was slow
  Pass(2 * kSecond);
  EXPECT_EQ(DrainingTold(10), std::set<std::string>{"w1"});
  proto::Envelope again;  // as if this driver daemon had just taken over
  again.mutable_worker_register()->set_worker_id("w2");
  again.mutable_worker_register()->set_incarnation(1);
  again.mutable_worker_register()->set_address("w2:1");
  again.mutable_worker_register()->set_slots(2);
  again.mutable_worker_register()->set_draining(true);
  Do(Received{"w2:1", again});
  EXPECT_EQ(DrainingTold(10), (std::set<std::string>{"w1", "w2"}));
}

// What a job said of a slow worker, and the workers that were told to drain for it.
class SlowWorkerTest : public DaemonTest {
 protected:
  void BeginWith(std::vector<std::string> workers) {
    Begin();
    for (const std::string& worker : workers) WorkerUp(worker);
    Submit("wc");
    StartUp("wc", 10);
  }
  std::vector<std::string> DrainedWhenSlow(const std::string& worker) {
    proto::Envelope message;
    message.mutable_job_status()->set_job("wc");
    message.mutable_job_status()->set_state("RUNNING");
    message.mutable_job_status()->set_epoch(1);
    message.mutable_job_status()->add_slow_workers()->set_worker_id(worker);
    Do(Received{"driver:10", message});
    std::vector<std::string> told;
    for (const Send& send : Last<Send>()) {
      if (send.message.has_drain_worker()) told.push_back(send.to);
    }
    return told;
  }
  void SayDraining(const std::string& worker) {
    proto::Envelope message;
    message.mutable_worker_heartbeat()->set_worker_id(worker);
    message.mutable_worker_heartbeat()->set_incarnation(1);
    message.mutable_worker_heartbeat()->set_drain("draining");
    Do(Received{worker + ":1", message});
  }
};

TEST_F(SlowWorkerTest, ItDrainsOnceWhereThePolicySaysSo) {
  times_.slow_drain_ms = 30'000;
  BeginWith({"w1", "w2", "w3"});
  EXPECT_EQ(DrainedWhenSlow("w2"), std::vector<std::string>{"w2:1"});
  EXPECT_EQ(DrainedWhenSlow("w2"), std::vector<std::string>{});
}

TEST_F(SlowWorkerTest, ItIsOnlyReportedByDefault) {
  BeginWith({"w1", "w2", "w3"});
  EXPECT_EQ(DrainedWhenSlow("w2"), std::vector<std::string>{});
}

TEST_F(SlowWorkerTest, ItStaysWhereTooFewWouldBeLeftOrAnotherIsOnItsWayOut) {
  times_.slow_drain_ms = 30'000;
  BeginWith({"w1", "w2"});
  EXPECT_EQ(DrainedWhenSlow("w2"), std::vector<std::string>{});
  EXPECT_EQ(DrainedWhenSlow("nobody"), std::vector<std::string>{});
  WorkerUp("w3");
  WorkerUp("w4");
  SayDraining("w1");
  EXPECT_EQ(DrainedWhenSlow("w2"), std::vector<std::string>{});
}

TEST_F(DaemonTest, ALoopThatSleptJudgesNobody) {
  Begin();
  WorkerUp("w1");
  now_ += 60 * kSecond;
  Do(Tick{});
  EXPECT_EQ(core_->Workers()[0].state(), "UP");
}

TEST_F(DaemonTest, AHeartbeatOfAnUnknownIncarnationIsAskedToRegister) {
  Begin();
  Beat("w1");
  ASSERT_EQ(Last<Send>().size(), 1u);
  EXPECT_TRUE(Last<Send>()[0].message.worker_registered().register_again());
}

TEST_F(DaemonTest, AWorkerOfAnotherProtocolIsRefused) {
  Begin();
  proto::Envelope message;
  message.mutable_worker_register()->set_worker_id("w1");
  message.mutable_worker_register()->set_protocol(99);
  Do(Received{"w1:1", message});
  EXPECT_NE(Last<Send>()[0].message.worker_registered().refused(), "");
  EXPECT_TRUE(core_->Workers().empty());
}

TEST_F(DaemonTest, ADrainIsForwardedRepeatedToARelaunchedDriverAndForcedInTheEnd) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Do(StopJob{2, "wc", true, 1000});
  EXPECT_EQ(Answered(), 0);
  Kill("wc", 10);
  Pass(kSecond / 10);
  Do(DriverStarted{"wc", 11, 0});
  Register("wc", 11);
  bool told = false;
  for (const Send& send : Last<Send>()) told |= send.message.has_job_stop();
  EXPECT_TRUE(told);
  Pass(7 * kSecond);
  ASSERT_EQ(Last<KillDriver>().size(), 1u);
  Kill("wc", 11);
  EXPECT_EQ(State("wc"), "FAILED");
  EXPECT_EQ(core_->Job("wc")->status().exit_code(), 5);
}

TEST_F(DaemonTest, ACancelledJobIsCancelled) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Do(StopJob{2, "wc", false, 1000});
  Exit("wc", 10, 0);
  EXPECT_EQ(State("wc"), "CANCELLED");
  Do(StopJob{3, "wc", false, 1000});
  EXPECT_EQ(Answered(), 1);
  Do(StopJob{4, "nobody", false, 1000});
  EXPECT_EQ(Answered(), 1);
}

TEST_F(DaemonTest, AJobThatWaitsForSlotsIsCancelledAtOnce) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  Status("wc", 10, "WAITING");
  Do(StopJob{2, "wc", false, 30'000});
  ASSERT_EQ(Last<KillDriver>().size(), 1u);
  Kill("wc", 10);
  EXPECT_EQ(State("wc"), "CANCELLED");
  EXPECT_EQ(core_->Job("wc")->status().exit_code(), 0);
}

TEST_F(DaemonTest, AProcessThatCannotBeStartedIsTriedAgain) {
  Begin();
  Submit("wc");
  Do(DriverNotStarted{"wc", "no more processes"});
  EXPECT_FALSE(core_->Job("wc")->ended());
  Pass(kSecond);
  EXPECT_EQ(Last<StartDriver>().size(), 1u);
}

TEST_F(DaemonTest, FindsTheReceiverOfAStream) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  EXPECT_EQ(core_->FindStream("nobody", "s").outcome().exit_code(), 1);
  EXPECT_EQ(core_->FindStream("wc", "s").push_address(), "");
  proto::Envelope message;
  auto* status = message.mutable_job_status();
  status->set_job("wc");
  status->set_epoch(1);
  status->set_state("RUNNING");
  auto* place = status->add_receivers();
  place->set_stream("s");
  place->set_address("127.0.0.1:9");
  for (const char* stream : {"s", "moves"}) status->add_streams(stream);
  Do(Received{"driver:10", message});
  EXPECT_EQ(core_->FindStream("wc", "s").push_address(), "127.0.0.1:9");
  EXPECT_EQ(core_->FindStream("wc", "other").outcome().exit_code(), 1);
  // Its receiver was lost a moment ago: a client was told that there is no such stream.
  EXPECT_EQ(core_->FindStream("wc", "moves").outcome().exit_code(), 0);
  EXPECT_EQ(core_->FindStream("wc", "moves").push_address(), "");
}

}  // namespace
}  // namespace sluice::daemon
