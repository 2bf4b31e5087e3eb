// Registration, sessions, executors.
#include "worker/daemon/worker_core_fixture.h"

namespace sluice::core_test {
namespace {

TEST_F(WorkerCoreTest, RegistersWithBackOffSaysOnceThatTheDriverIsAwayAndNeverExits) {
  int registers = 0, away = 0;
  for (int i = 0; i < 100; ++i) {
    After(1000);
    Step(worker::PeerDown{"driver:1", true});
    for (const auto& command : std::exchange(done_, {})) {
      EXPECT_FALSE(std::holds_alternative<worker::Exit>(command));
      if (const auto* say = std::get_if<worker::Say>(&command)) {
        away += say->line.starts_with("driver is away") ? 1 : 0;
      }
      const auto* send = std::get_if<Send>(&command);
      if (send == nullptr || !send->message.has_worker_register()) continue;
      ++registers;
      EXPECT_EQ(send->message.worker_register().protocol(), kProtocolVersion);
    }
  }
  EXPECT_EQ(away, 1);
  EXPECT_GE(registers, 15);
  EXPECT_LE(registers, 40);
  Receive("driver:1",
          [](proto::Envelope& e) { e.mutable_worker_registered()->set_lease_ms(1000); });
  EXPECT_TRUE(core_.registered());
}

TEST_F(WorkerCoreTest, OnlyItsOwnDriverCanAskItToRegisterAgain) {
  const auto ask = [](proto::Envelope& e) {
    e.mutable_worker_registered()->set_register_again(true);
  };
  Receive("driver:1", [](proto::Envelope& e) { e.mutable_worker_registered(); });
  Receive("former:1", ask);
  EXPECT_TRUE(core_.registered());
  Receive("driver:1", ask);
  EXPECT_FALSE(core_.registered());
}

TEST_F(WorkerCoreTest, ATokenThatTheDriverDoesNotTakeEndsANewWorkerButNotOneThatWasIn) {
  Step(worker::PeerDenied{"peer:1", "the token is not valid"});
  EXPECT_EQ(Done(), Words{});
  Step(worker::PeerDenied{"driver:1", "the token is not valid"});
  EXPECT_EQ(Done(), (Words{"exit 6"}));
  Receive("driver:1", [](proto::Envelope& e) { e.mutable_worker_registered(); });
  Step(worker::PeerDenied{"driver:1", "the token is not valid"});
  EXPECT_EQ(Done(), Words{});
}

TEST_F(WorkerCoreTest, AHigherEpochEndsOldTasksKeepsReceiversAndALowerOneIsRefused) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  RunExecutor(2, "tasks");
  StartExecutor(3, "receivers");
  Done();
  Session(2, kThree);
  const Words done = Done();
  EXPECT_EQ(done[0], "kill 2");
  EXPECT_EQ(done[1], "kill 3");  // it was not ready
  EXPECT_EQ(std::count(done.begin(), done.end(), "kill 1"), 0);
  Session(1, kThree);
  EXPECT_EQ(Done(), (Words{"inventory of 0 epoch 2 to jd:1"}));
  EXPECT_EQ(core_.jobs().at(kJob).epoch, 2u);
}

// The peer had let go of it by a release that was lost on its way here; then the job driver was
// relaunched and fell back to a checkpoint that needs the block.
TEST_F(WorkerCoreTest, ANewJobDriverIsToldOfNoCopyThatAPeerHasLetGo) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Copied("w3", 1);
  Verdict(1);
  EXPECT_EQ(core_.blocks().UnderReplicated(), 0u);
  Session(2, kThree);
  EXPECT_EQ(core_.blocks().UnderReplicated(), 0u) << "what is not known is not counted";
  Done();
  Replicate(1, "w2", 1, /*epoch=*/2);
  EXPECT_EQ(Done(), Words{"copy 1 to w2:1"});
  Copied("w2", 1);
  EXPECT_EQ(Done(), Words{"announce 1 w1 w2 to jd:2"});
}

// It was announced as if this worker alone had it.
TEST_F(WorkerCoreTest, ABlockThatWaitsForAnotherIsCopiedOnceMoreUnderEachNewJobDriver) {
  const std::vector<Peer> later{{"w1", "h1"}, {"w2", "h2", 2}, {"w3", "h3", 2}};
  Session(1, kThree);
  for (const uint64_t number : {2, 1}) {
    proto::BlockInfo info;
    *info.mutable_name() = NameOf(Key(number));
    Step(worker::CopyStored{number == 2 ? "w3:1" : "w2:1", 1, info, true, ""});
  }
  Session(1, {{"w1", "h1"}, {"w2", "h2"}, {"w3", "h3", 2}});
  Copied("w2", 2);
  Done();
  Session(1, later);  // w2, whose block comes before, has ended as well
  Done();
  for (const uint64_t epoch : {2, 3}) {
    Session(epoch, later);
    const Words done = Done();
    EXPECT_EQ(std::count_if(done.begin(), done.end(),
                            [](const auto& word) { return word.starts_with("copy 2 to"); }), 1)
        << epoch << ": " << testing::PrintToString(done);
    Copied("w2", 2, true, 2);
    EXPECT_EQ(Done(), Words{}) << "it waits for block 1";
  }
}

// One that was replaced and had not noticed had a session with a worker that was started anew, was
// told of slots of its successor's, and ended the job: its log seemed to have lost them.
TEST_F(WorkerCoreTest, AJobDriverIsNotToldHowLongTheLogOfItsSuccessorIs) {
  Session(1, kThree);
  Receive("jd:2", [](proto::Envelope& e) {
    e.mutable_lease_beat()->set_job_instance(kJob);
    e.mutable_lease_beat()->set_epoch(2);
    e.mutable_lease_beat()->set_durable_slot(100);
  });
  EXPECT_EQ(core_.jobs().at(kJob).durable_slot, 0u);
}

TEST_F(WorkerCoreTest, ASessionThatWasOvertakenDoesNotTakeANewPeerAway) {
  Session(1, kThree, 2, 1, /*number=*/2);
  Session(1, {{"w1", "h1"}}, 2, 1, /*number=*/1);
  EXPECT_EQ(core_.jobs().at(kJob).members.workers_size(), 3);
  Session(1, {{"w1", "h1"}}, 2, 1, /*number=*/3);
  EXPECT_EQ(core_.jobs().at(kJob).members.workers_size(), 1);
}

TEST_F(WorkerCoreTest, ABinaryThatCannotBeHadIsReportedUntilHeard) {
  Session(1, kThree);
  StartExecutor(3, "tasks");
  Step(worker::BinaryReady{"d", "", "no such binary"});
  EXPECT_EQ(Done(), (Words{"inventory of 0 epoch 1 to jd:1", "fetch", "exited: no such binary",
                           "forget 3"}));
  After(400);
  EXPECT_EQ(Done(), (Words{"exited: no such binary"}));
}

TEST_F(WorkerCoreTest, ABinaryThatCannotRunHereIsRefusedWithoutBeingFetchedAgain) {
  Session(1, kThree);
  StartExecutor(3, "tasks");
  Step(worker::BinaryReady{"d", "/bin/d", "no libq here", true});
  Done();
  StartExecutor(4, "tasks");
  for (const auto& command : done_) {
    const auto* send = std::get_if<Send>(&command);
    EXPECT_TRUE(send == nullptr || send->message.executor_exited().refused());
  }
  EXPECT_EQ(Done(), (Words{"exited: no libq here", "forget 4"}));
}

TEST_F(WorkerCoreTest, KeepsTheBinariesThatJobsNeedAndThoseOfItsExecutors) {
  const auto needed = [&](const std::string& digest) {
    done_.clear();
    Receive("driver:1", [&](proto::Envelope& e) {
      e.mutable_worker_registered()->set_tells_binaries(true);
      e.mutable_worker_registered()->add_binaries(digest);
    });
    std::set<std::string> kept;
    for (const auto& command : done_) {
      if (const auto* keep = std::get_if<worker::KeepBinaries>(&command)) kept = keep->digests;
    }
    return kept;
  };
  Session(1, kThree);
  RunExecutor(1, "tasks");
  EXPECT_EQ(needed("x"), (std::set<std::string>{"d", "x"}));
  Step(worker::ProcessReaped{{kJob, 1, 1}, "exit 0", false, {}, {}});
  EXPECT_EQ(needed("x"), (std::set<std::string>{"x"}));
  Done();
  StartExecutor(2, "tasks");
  EXPECT_EQ(Done(), (Words{"fetch"}));  // it is not here any more
}

TEST_F(WorkerCoreTest, KeepsTheFilesOfItsExecutorsAsLongAsTheyLive) {
  const auto kept = [&] {
    done_.clear();
    Receive("driver:1", [](proto::Envelope& e) {
      e.mutable_worker_registered()->set_tells_binaries(true);
    });
    std::set<std::string> digests;
    for (const auto& command : done_) {
      if (const auto* keep = std::get_if<worker::KeepBinaries>(&command)) digests = keep->digests;
    }
    return digests;
  };
  Session(1, kThree);
  files_ = {{"a.txt", "fa"}, {"b.txt", "fb"}};
  StartExecutor(1, "receivers");
  EXPECT_EQ(kept(), (std::set<std::string>{"d", "fa", "fb"})) << "while its binary is fetched";
  RunExecutor(1, "receivers");
  EXPECT_EQ(kept(), (std::set<std::string>{"d", "fa", "fb"}));
  files_.clear();
  RunExecutor(2, "tasks");
  Step(worker::ProcessReaped{{kJob, 1, 1}, "exit 0", false, {}, {}});
  EXPECT_EQ(kept(), (std::set<std::string>{"d"}));
}

TEST_F(WorkerCoreTest, AnExecutorGetsItsFilesFromTheDriverThatLeadsAtItsStart) {
  Session(1, kThree);
  RunExecutor(1, "tasks");
  Receive("standby:1", [](proto::Envelope& e) {
    e.mutable_driver_leads()->set_address("standby:1");
    e.set_leader_epoch(9);
  });
  done_.clear();
  files_ = {{"a.txt", "fa"}};
  StartExecutor(2, "tasks");  // its binary was fetched before
  const auto start = std::find_if(done_.begin(), done_.end(), [](const auto& command) {
    return std::holds_alternative<worker::StartProcess>(command);
  });
  ASSERT_NE(start, done_.end());
  EXPECT_EQ(std::get<worker::StartProcess>(*start).driver, "standby:1");
  EXPECT_EQ(std::get<worker::StartProcess>(*start).request.files_size(), 1);
}

TEST_F(WorkerCoreTest, AnExecutorWhoseFilesTakeLongIsNotTakenForOneThatHangs) {
  Session(1, kThree);
  StartExecutor(2, "tasks");
  Step(worker::BinaryReady{"d", "/bin/d", ""});
  After(60'000);
  Step(worker::ProcessStarted{{kJob, 1, 2}, 102, ""});
  After(29'000);
  Words done = Done();
  EXPECT_EQ(std::count(done.begin(), done.end(), "kill 2"), 0);
  After(2'000);  // from its start on it has half a minute to attach
  done = Done();
  EXPECT_EQ(std::count(done.begin(), done.end(), "kill 2"), 1);
}

TEST_F(WorkerCoreTest, AnExecutorThatIsStoppedWhileItsFilesComeIsEndedAtItsStart) {
  Session(1, kThree);
  StartExecutor(2, "tasks");
  Step(worker::BinaryReady{"d", "/bin/d", ""});
  Session(2, kThree);
  Done();
  Step(worker::ProcessStarted{{kJob, 1, 2}, 102, ""});
  EXPECT_EQ(Done(), (Words{"kill 2"}));
}

TEST_F(WorkerCoreTest, EndsTheExecutorsOfAJobThatTheDriverDaemonCallsEnded) {
  Session(1, kThree);
  RunExecutor(1, "tasks");
  RunExecutor(2, "receivers");
  Done();
  const auto over = [&](const std::string& from, uint64_t instance) {
    Receive(from, [&](proto::Envelope& e) { e.mutable_jobs_over()->add_job_instances(instance); });
    return Done();
  };
  EXPECT_EQ(over("driver:1", kJob + 1), Words{});
  EXPECT_EQ(over("jd:1", kJob), Words{});
  EXPECT_EQ(over("driver:1", kJob), (Words{"kill 1", "end 2"}));
  EXPECT_EQ(over("driver:1", kJob), (Words{"kill 1"}));
}

TEST_F(WorkerCoreTest, TellsTheJobDriverWhatItsReceiversHaveTaken) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Receive("ex:1", [](proto::Envelope& e) {
    auto* attach = e.mutable_executor_attach();
    attach->set_job_instance(kJob);
    attach->set_epoch(1);
    attach->set_executor(1);
    attach->set_link_address("ex:1");
    attach->add_taken()->set_records(5);
    attach->mutable_taken(0)->set_stream(1);
    attach->mutable_taken(0)->set_incarnation(kIncarnation);
  });
  EXPECT_EQ(ToldOfReceivers(), (Words{"1/70: 5"}));
}

// Its end is said a few times, and all of them may get lost.
TEST_F(WorkerCoreTest, TellsTheJobDriverWhichReceiversLive) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  EXPECT_EQ(ToldOfReceivers(), (Words{"1/70: 0"}));
  Step(worker::ProcessReaped{{kJob, 1, 1}, "signal 9", false, {}, {}});
  EXPECT_EQ(ToldOfReceivers(), Words{});
}

TEST_F(WorkerCoreTest, TheEndOfAJobDropsAllOfIt) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Done();
  Receive("jd:1", [](proto::Envelope& e) {
    e.mutable_job_ended()->set_job_instance(kJob);
    e.mutable_job_ended()->set_epoch(1);
  });
  EXPECT_EQ(Done(), (Words{"kill 1", "drop job"}));
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(9));
  Step(worker::CopyStored{"w3:1", 1, info, true, ""});
  EXPECT_EQ(Done(), (Words{"drop 9", "not copied to w3:1"}));
}

TEST_F(WorkerCoreTest, AJobWhoseDriverIsSilentForLongIsSaidToBeLeft) {
  Session(1, kThree);
  // Silent jobs, and those left, of the last heartbeat after so long.
  const auto left_after = [&](int64_t ms) {
    std::pair<int, int> jobs{-1, -1};
    for (; ms > 0; ms -= 500) {
      Receive("driver:1", [](proto::Envelope& e) {
        e.mutable_worker_registered()->set_lease_ms(1000);
      });
      After(500);
      for (const auto& command : std::exchange(done_, {})) {
        const auto* send = std::get_if<Send>(&command);
        if (send == nullptr || !send->message.has_worker_heartbeat()) continue;
        const auto& beat = send->message.worker_heartbeat();
        jobs = {beat.silent_jobs_size(), beat.left_jobs_size()};
      }
    }
    return jobs;
  };
  EXPECT_EQ(left_after(4'000), std::pair(1, 0));
  EXPECT_EQ(left_after(2'000), std::pair(1, 1));
  Session(2, kThree);
  EXPECT_EQ(left_after(500), std::pair(0, 0));
}

TEST_F(WorkerCoreTest, ABeatWantsAnAnswerWhenNothingWasHeardForALease) {
  const auto wants_answer = [&] {
    bool wants = false;
    for (const auto& command : std::exchange(done_, {})) {
      const auto* send = std::get_if<Send>(&command);
      if (send != nullptr && send->message.has_lease_beat()) {
        wants = !send->message.lease_beat().reply();
      }
    }
    return wants;
  };
  Session(1, kThree);
  After(500);
  EXPECT_FALSE(wants_answer());
  for (int i = 0; i < 4; ++i) After(500);
  EXPECT_TRUE(wants_answer());
  Session(1, kThree);
  After(500);
  EXPECT_FALSE(wants_answer());
}

TEST_F(WorkerCoreTest, AJobThatEndedIsTakenUpAgainByALaterEpochOnly) {
  Session(1, kThree);
  Done();
  Receive("jd:1", [](proto::Envelope& e) {
    e.mutable_job_ended()->set_job_instance(kJob);
    e.mutable_job_ended()->set_epoch(1);
  });
  Done();
  Session(1, kThree);
  EXPECT_EQ(Done(), Words{});
  Session(2, kThree);
  EXPECT_EQ(Done()[0], "inventory of 0 epoch 2 to jd:2");
}

}  // namespace
}  // namespace sluice::core_test
