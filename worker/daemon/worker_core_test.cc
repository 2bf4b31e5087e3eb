#include "worker/daemon/worker_core.h"

#include <gtest/gtest.h>

#include <functional>

#include "worker/daemon/block_names.h"

namespace sluice {
namespace {

constexpr uint64_t kJob = 7;
constexpr uint64_t kIncarnation = 70;
constexpr MonotonicTime kMs = 1000;

BlockKey Key(uint64_t number) {
  return {.job_instance = kJob, .incarnation = kIncarnation, .number = number, .stream = 1};
}

// A worker "w1" on host "h1" and what it does. Peers answer only when the test says so.
class WorkerCoreTest : public testing::Test {
 protected:
  WorkerCoreTest()
      : core_({.worker_id = "w1",
               .incarnation = 11,
               .address = "w1:1",
               .host = "h1",
               .slots = 2,
               .driver_address = "driver:1"}) {}

  void Step(worker::Event event) {
    for (auto& command : core_.Step(now_, std::move(event))) done_.push_back(std::move(command));
  }
  void After(int64_t ms) {
    for (int64_t passed = 0; passed < ms; passed += 20) {
      now_ += 20 * kMs;
      Step(worker::Tick{});
    }
  }
  void Receive(const std::string& from, const std::function<void(proto::Envelope&)>& fill) {
    worker::Received event{from, {}};
    fill(event.message);
    Step(std::move(event));
  }
  struct Peer {
    std::string id, host;
    uint64_t incarnation = 1;
  };
  void Session(uint64_t epoch, const std::vector<Peer>& peers, uint32_t replication = 2,
               uint32_t replication_min = 1) {
    Receive("jd:" + std::to_string(epoch), [&](proto::Envelope& e) {
      auto* session = e.mutable_job_session();
      session->set_job("wc");
      session->set_job_instance(kJob);
      session->set_epoch(epoch);
      session->set_lease_ms(1000);
      session->set_address("jd:" + std::to_string(epoch));
      session->set_replication(replication);
      session->set_replication_min(replication_min);
      for (const Peer& peer : peers) {
        auto* member = session->mutable_members()->add_workers();
        member->set_worker_id(peer.id);
        member->set_address(peer.id + ":1");
        member->set_host(peer.host);
        member->set_incarnation(peer.incarnation);
      }
    });
  }
  void StartExecutor(uint32_t id, const std::string& role, uint64_t epoch = 1) {
    Receive("jd:" + std::to_string(epoch), [&](proto::Envelope& e) {
      auto* start = e.mutable_start_executor();
      start->set_job_instance(kJob);
      start->set_epoch(epoch);
      start->set_executor(id);
      start->set_role(role);
      start->set_binary_digest("d");
      if (role == "receivers") {
        start->add_streams(1);
        start->add_incarnations(kIncarnation);
      }
    });
  }
  void RunExecutor(uint32_t id, const std::string& role, uint64_t epoch = 1) {
    StartExecutor(id, role, epoch);
    Step(worker::BinaryReady{"d", "/bin/d", ""});
    Step(worker::ProcessStarted{{kJob, epoch, id}, 100 + id, ""});
    Receive("ex:" + std::to_string(id), [&](proto::Envelope& e) {
      auto* attach = e.mutable_executor_attach();
      attach->set_job_instance(kJob);
      attach->set_epoch(epoch);
      attach->set_executor(id);
      attach->set_link_address("ex:" + std::to_string(id));
    });
  }
  void Beat(uint32_t id) {
    Receive("ex:" + std::to_string(id), [](proto::Envelope& e) { e.mutable_executor_beat(); });
  }
  // Executor 1 seals blocks [first, last]; the store takes them.
  void Seal(uint64_t first, uint64_t last, bool reliable = false) {
    Receive("ex:1", [&](proto::Envelope& e) {
      for (uint64_t n = first; n <= last; ++n) {
        auto* slice = e.mutable_seal_slices()->add_slices();
        *slice->mutable_block()->mutable_name() = NameOf(Key(n));
        slice->mutable_block()->set_reliable(reliable);
        slice->set_arena_offset(n * 100);
      }
    });
    StoreAll();
  }
  void StoreAll() {
    for (size_t i = 0; i < done_.size(); ++i) {
      if (auto* store = std::get_if<worker::StoreSlice>(&done_[i])) {
        proto::BlockInfo info = store->slice.block();
        done_.erase(done_.begin() + i);
        Step(worker::SliceStored{info, true, false, "", ""});
        i = -1;
      }
    }
  }
  void Copied(const std::string& peer, uint64_t number, bool ok = true) {
    Receive(peer + ":1", [&](proto::Envelope& e) {
      auto* copied = e.mutable_block_copied();
      *copied->mutable_name() = NameOf(Key(number));
      copied->set_ok(ok);
      copied->set_worker_id(peer);
    });
  }
  void Verdict(uint64_t number, bool accepted = true, uint64_t epoch = 1) {
    Receive("jd:" + std::to_string(epoch), [&](proto::Envelope& e) {
      *e.mutable_block_verdict()->mutable_name() = NameOf(Key(number));
      e.mutable_block_verdict()->set_accepted(accepted);
    });
  }
  // What was done since the last look, as words.
  std::vector<std::string> Done() {
    std::vector<std::string> words;
    for (const auto& command : std::exchange(done_, {})) {
      if (std::string word = Word(command); !word.empty()) words.push_back(word);
    }
    return words;
  }
  static std::string Word(const worker::Command& command) {
    if (const auto* copy = std::get_if<worker::SendCopy>(&command)) {
      return "copy " + std::to_string(copy->info.name().number()) + " to " + copy->to;
    }
    if (const auto* drop = std::get_if<worker::DropBlock>(&command)) {
      return "drop " + std::to_string(drop->block.number);
    }
    if (const auto* end = std::get_if<worker::EndProcess>(&command)) {
      return (end->at_once ? "kill " : "end ") + std::to_string(end->executor.executor);
    }
    if (const auto* start = std::get_if<worker::StartProcess>(&command)) {
      return "start " + std::to_string(start->request.executor());
    }
    if (const auto* forget = std::get_if<worker::ForgetExecutor>(&command)) {
      return "forget " + std::to_string(forget->executor.executor);
    }
    if (const auto* store = std::get_if<worker::StoreSlice>(&command)) {
      return "store " + std::to_string(store->slice.block().name().number());
    }
    if (const auto* exit = std::get_if<worker::Exit>(&command)) {
      return "exit " + std::to_string(exit->code);
    }
    if (std::holds_alternative<worker::FetchBinary>(command)) return "fetch";
    if (std::holds_alternative<worker::DropJob>(command)) return "drop job";
    if (const auto* send = std::get_if<Send>(&command)) return Word(*send);
    return "";
  }
  static std::string Word(const Send& send) {
    const proto::Envelope& e = send.message;
    const std::string to = " to " + send.to;
    if (e.has_block_announce()) {
      std::string holders;
      for (const auto& holder : e.block_announce().holders()) holders += " " + holder;
      return "announce " + std::to_string(e.block_announce().block().name().number()) + holders +
             to;
    }
    if (e.has_sealed_slices() && e.sealed_slices().arena_offsets_size() > 0) {
      return "sealed " + std::to_string(e.sealed_slices().arena_offsets(0) / 100);
    }
    if (e.has_sealed_slices()) return "refused: " + e.sealed_slices().reason();
    if (e.has_block_verdict()) return "verdict" + to;
    if (e.has_seal_done()) return "seal done" + to;
    if (e.has_seal_tick()) return "seal tick" + to;
    if (e.has_release_blocks()) return "release" + to;
    if (e.has_executor_exited()) return "exited: " + e.executor_exited().cause();
    if (e.has_worker_inventory()) {
      return "inventory of " + std::to_string(e.worker_inventory().blocks_size()) + " epoch " +
             std::to_string(e.worker_inventory().epoch()) + to;
    }
    if (e.has_block_copied()) return e.block_copied().ok() ? "copied" + to : "not copied" + to;
    return "";
  }
  using Words = std::vector<std::string>;

  const std::vector<Peer> kThree = {{"w1", "h1"}, {"w2", "h1"}, {"w3", "h3"}};
  WorkerCore core_;
  MonotonicTime now_ = 1'000'000'000;
  worker::Commands done_;
};

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
      registers += send != nullptr && send->message.has_worker_register() ? 1 : 0;
    }
  }
  EXPECT_EQ(away, 1);
  EXPECT_GE(registers, 15);
  EXPECT_LE(registers, 40);
  Receive("driver:1",
          [](proto::Envelope& e) { e.mutable_worker_registered()->set_lease_ms(1000); });
  EXPECT_TRUE(core_.registered());
}

TEST_F(WorkerCoreTest, SealsReplicatesToAnotherHostAnnouncesAndPassesTheVerdictOn) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  Seal(1, 1);
  EXPECT_EQ(Done(), (Words{"sealed 1", "copy 1 to w3:1"}));
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:1"}));
  Verdict(1);
  EXPECT_EQ(Done(), (Words{"verdict to ex:1"}));
  After(2000);
  for (const auto& word : Done()) EXPECT_FALSE(word.starts_with("announce")) << word;
}

TEST_F(WorkerCoreTest, AnnouncesOneOfAnIncarnationAtATimeInOrder) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 3);
  Done();
  Copied("w3", 2);
  Copied("w3", 3);
  EXPECT_EQ(Done(), Words{});
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:1"}));
  Verdict(1);
  EXPECT_EQ(Done(), (Words{"announce 2 w1 w3 to jd:1", "verdict to ex:1"}));
}

TEST_F(WorkerCoreTest, ChoosesAnotherPeerWhenOneDiesOrRefuses) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  Seal(1, 1);
  EXPECT_EQ(Done().back(), "copy 1 to w3:1");
  Step(worker::PeerDown{"w3:1", /*refused=*/true});
  EXPECT_EQ(Done(), (Words{"copy 1 to w2:1"}));
  Copied("w2", 1, /*ok=*/false);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 to jd:1"}));  // nobody left; the minimum is one
  EXPECT_EQ(core_.blocks().UnderReplicated(), 1u);
}

TEST_F(WorkerCoreTest, ABrokenLinkIsTriedAgain) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Done();
  Step(worker::PeerDown{"w3:1", /*refused=*/false});
  After(100);
  EXPECT_EQ(Done().front(), "copy 1 to w3:1");
}

TEST_F(WorkerCoreTest, BelowTheMinimumNothingIsAnnounced) {
  Session(1, {{"w1", "h1"}}, 2, 2);
  RunExecutor(1, "receivers");
  Done();
  Seal(1, 1);
  After(3000);
  for (const auto& word : Done()) EXPECT_FALSE(word.starts_with("announce")) << word;
  Session(1, kThree, 2, 2);
  After(1000);
  Copied("w3", 1);
  EXPECT_EQ(Done().back(), "announce 1 w1 w3 to jd:1");
}

TEST_F(WorkerCoreTest, RepeatsAnAnnouncementUntilTheVerdictAndInANewEpoch) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Copied("w3", 1);
  Done();
  After(150);
  EXPECT_EQ(Done().front(), "announce 1 w1 w3 to jd:1");
  Session(2, kThree);
  const Words done = Done();
  EXPECT_EQ(done, (Words{"inventory of 1 epoch 2 to jd:2", "announce 1 w1 w3 to jd:2"}));
  Verdict(1, true, 1);  // of the driver that was replaced
  EXPECT_EQ(Done(), Words{});
  Verdict(1, true, 2);
  EXPECT_EQ(Done(), (Words{"verdict to ex:1"}));
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

TEST_F(WorkerCoreTest, ARefusedBlockIsDroppedHereAndAtPeers) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 2, /*reliable=*/true);
  Copied("w3", 1);
  Copied("w3", 2);
  Done();
  Verdict(1, false);
  EXPECT_EQ(Done(), (Words{"release to w3:1", "drop 1", "announce 2 w1 w3 to jd:1",
                           "verdict to ex:1"}));
}

TEST_F(WorkerCoreTest, ADeadReceiversOpenBufferIsSealedWhenItsSourceIsUnreliable) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Done();
  BlockKey open = Key(0), sealed = Key(2);
  Step(worker::ProcessReaped{{kJob, 1, 1}, "signal 9", false, {},
                             {{open, false, 300, 5}, {sealed, false, 200, 7},
                              {Key(1), false, 100, 3}, {open, true, 400, 5}}});
  EXPECT_EQ(Done(), (Words{"exited: signal 9", "store 2"}));
  auto info = [](uint64_t n) {
    proto::BlockInfo block;
    *block.mutable_name() = NameOf(Key(n));
    block.set_recovered(true);
    return block;
  };
  Step(worker::SliceStored{info(2), true, false, "", ""});
  EXPECT_EQ(Done(), (Words{"store 3", "copy 2 to w3:1"}));
  Step(worker::SliceStored{info(3), true, false, "", ""});
  EXPECT_EQ(Done(), (Words{"copy 3 to w3:1", "forget 1"}));
}

TEST_F(WorkerCoreTest, ADeadReliableReceiversBlocksGoUnlessADriverWasTold) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Seal(1, 2, /*reliable=*/true);
  Copied("w3", 1);
  Copied("w3", 2);
  Done();
  Step(worker::ProcessReaped{{kJob, 1, 1}, "signal 11", true, {}, {}});
  EXPECT_EQ(Done(), (Words{"exited: signal 11", "release to w3:1", "drop 2", "forget 1"}));
  Verdict(1);
  EXPECT_EQ(Done(), Words{});
}

TEST_F(WorkerCoreTest, ACopyOfADeadPeersUnreliableBlockIsAnnouncedByItsHolder) {
  Session(1, kThree);
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(1));
  Step(worker::CopyStored{"w3:1", info, true, ""});
  EXPECT_EQ(Done().back(), "copied to w3:1");
  Session(1, kThree);
  for (const auto& word : Done()) EXPECT_FALSE(word.starts_with("copy")) << word;
  Session(1, {{"w1", "h1"}, {"w2", "h1"}, {"w3", "h3", /*incarnation=*/2}});
  EXPECT_EQ(Done().back(), "copy 1 to w3:1");
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:1"}));
}

TEST_F(WorkerCoreTest, ASealTickIsDoneWhenWhatWasSealedIsAnnounced) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  Receive("jd:1", [](proto::Envelope& e) {
    e.mutable_seal_tick()->set_job_instance(kJob);
    e.mutable_seal_tick()->set_batch_ms(1000);
  });
  EXPECT_EQ(Done(), (Words{"seal tick to ex:1"}));
  Seal(1, 1);
  Receive("ex:1", [](proto::Envelope& e) {
    e.mutable_seal_done()->set_job_instance(kJob);
    e.mutable_seal_done()->set_batch_ms(1000);
  });
  EXPECT_EQ(Done(), (Words{"sealed 1", "copy 1 to w3:1"}));
  Copied("w3", 1);
  EXPECT_EQ(Done(), (Words{"announce 1 w1 w3 to jd:1", "seal done to jd:1"}));
}

TEST_F(WorkerCoreTest, WithoutReceiversASealTickIsDoneAtOnce) {
  Session(1, kThree);
  Done();
  Receive("jd:1", [](proto::Envelope& e) { e.mutable_seal_tick()->set_job_instance(kJob); });
  EXPECT_EQ(Done(), (Words{"seal done to jd:1"}));
}

TEST_F(WorkerCoreTest, WithoutRoomASealWaitsAndGoesOnLater) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  Receive("ex:1", [](proto::Envelope& e) {
    *e.mutable_seal_slices()->add_slices()->mutable_block()->mutable_name() = NameOf(Key(1));
    *e.mutable_seal_slices()->add_slices()->mutable_block()->mutable_name() = NameOf(Key(2));
  });
  EXPECT_EQ(Done(), (Words{"store 1"}));
  proto::BlockInfo info;
  *info.mutable_name() = NameOf(Key(1));
  Step(worker::SliceStored{info, false, true, "disk full", ""});
  EXPECT_EQ(Done(), (Words{"refused: disk full"}));
  After(300);
  EXPECT_EQ(Done(), (Words{"store 1"}));
  Step(worker::SliceStored{info, true, false, "", ""});
  EXPECT_EQ(Done(), (Words{"sealed 0", "store 2", "copy 1 to w3:1"}));
}

TEST_F(WorkerCoreTest, AnExecutorSealsOnlyItsOwnIncarnations) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Done();
  Receive("ex:1", [](proto::Envelope& e) {
    BlockKey other = Key(1);
    other.incarnation = 99;
    *e.mutable_seal_slices()->add_slices()->mutable_block()->mutable_name() = NameOf(other);
  });
  EXPECT_EQ(Done(), Words{});
}

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

TEST_F(WorkerCoreTest, ABinaryThatCannotBeHadIsReportedUntilHeard) {
  Session(1, kThree);
  StartExecutor(3, "tasks");
  Step(worker::BinaryReady{"d", "", "no such binary"});
  EXPECT_EQ(Done(), (Words{"inventory of 0 epoch 1 to jd:1", "fetch", "exited: no such binary",
                           "forget 3"}));
  After(400);
  EXPECT_EQ(Done(), (Words{"exited: no such binary"}));
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
  Step(worker::CopyStored{"w3:1", info, true, ""});
  EXPECT_EQ(Done(), (Words{"drop 9", "not copied to w3:1"}));
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

TEST_F(WorkerCoreTest, DrainingHandsSoleCopiesToAPeerAndExits) {
  Session(1, {{"w1", "h1"}});
  RunExecutor(1, "receivers");
  Seal(1, 1);
  Verdict(1);
  Session(1, kThree);
  Done();
  Step(worker::DrainRequested{now_ + 30'000 * kMs});
  EXPECT_EQ(Done(), (Words{"end 1"}));
  StartExecutor(5, "tasks");
  EXPECT_EQ(Done()[0], "exited: the worker is draining");
  Step(worker::ProcessReaped{{kJob, 1, 1}, "exit 0", false, {}, {}});
  After(20);
  EXPECT_EQ(Done().back(), "copy 1 to w3:1");
  Copied("w3", 1);
  EXPECT_EQ(Done().back(), "announce 1 w1 w3 to jd:1");
  After(40);
  for (const auto& word : Done()) EXPECT_FALSE(word.starts_with("exit ")) << word;
  Verdict(1);
  After(20);
  EXPECT_EQ(Done().back(), "exit 0");
}

TEST_F(WorkerCoreTest, DrainingEndsAtItsDeadline) {
  Session(1, kThree);
  RunExecutor(1, "receivers");
  Step(worker::DrainRequested{now_ + 100 * kMs});
  Done();
  After(200);
  const Words done = Done();
  EXPECT_EQ(std::count(done.begin(), done.end(), "exit 5"), 1);
}

}  // namespace
}  // namespace sluice
