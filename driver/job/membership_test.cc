// What the job driver asks of workers and executors, and what it believes of them, where messages
// get lost.
#include "driver/job/membership.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr uint64_t kEpoch = 3;
constexpr uint32_t kStream = 4;

// Worker w0 of a job with one receiver; it has answered its first session. What is sent to it stays
// in `sent`, and is answered by the test only.
class MembershipTest : public testing::Test {
 protected:
  MembershipTest() : members_(options_, kEpoch, {kStream}, [this] { return ++random_; }) {
    Listed(true);
    Pass(0);
  }

  void Listed(bool w0) {
    proto::ClusterMembers listed;
    if (w0) {
      auto& member = *listed.add_workers();
      member.set_worker_id("w0");
      member.set_address("w0");
      member.set_incarnation(1);
      member.set_slots(1);
    }
    members_.OnMembers(now_, listed, news_);
  }

  void Pass(int64_t ms) {
    now_ += 1'000 * ms;
    members_.OnTimer(now_, news_, sent_);
  }
  // `live`: a receiver of a former epoch goes on. `session`: the last one where it is 0.
  void Inventory(std::optional<uint32_t> live = std::nullopt, uint64_t session = 0) {
    proto::WorkerInventory inventory;
    inventory.set_worker_id("w0");
    inventory.set_incarnation(1);
    inventory.set_epoch(kEpoch);
    inventory.set_session(session != 0 ? session : members_.SessionOf("w0"));
    if (live.has_value()) {
      auto& receiver = *inventory.add_receivers();
      receiver.set_executor(*live);
      receiver.set_stream(kStream);
      receiver.set_incarnation(9);
    }
    members_.OnInventory(now_, inventory, news_);
    Pass(0);
  }
  // Its daemon names these incarnations of receivers.
  void Beat(const std::vector<uint64_t>& live, uint64_t epoch = kEpoch) {
    proto::LeaseBeat beat;
    beat.set_worker_id("w0");
    beat.set_incarnation(1);
    beat.set_reply(!deaf_);
    beat.set_epoch(epoch);
    for (const uint64_t incarnation : live) {
      beat.add_taken()->set_stream(kStream);
      beat.mutable_taken()->rbegin()->set_incarnation(incarnation);
    }
    members_.OnBeat(now_, beat, news_, sent_);
  }
  template <typename Has>
  std::vector<proto::Envelope> Sent(Has has) const {
    std::vector<proto::Envelope> found;
    for (const DriverCommand& command : sent_) {
      const auto* send = std::get_if<Send>(&command);
      if (send != nullptr && has(send->message)) found.push_back(send->message);
    }
    return found;
  }
  std::vector<uint32_t> Started(const std::string& role) const {
    std::vector<uint32_t> ids;
    for (const auto& m : Sent([](const auto& m) { return m.has_start_executor(); })) {
      if (m.start_executor().role() == role) ids.push_back(m.start_executor().executor());
    }
    return ids;
  }
  std::vector<uint32_t> Stopped() const {
    std::vector<uint32_t> ids;
    for (const auto& m : Sent([](const auto& m) { return m.has_stop_executor(); })) {
      ids.push_back(m.stop_executor().executor());
    }
    return ids;
  }
  void Ready(uint32_t executor) {
    proto::ExecutorReady ready;
    ready.set_executor(executor);
    members_.OnReady(now_, ready, news_);
  }
  uint64_t Incarnation() const { return members_.ReceiverOf(kStream)->streams.at(kStream); }

  JobDriverOptions options_;
  bool deaf_ = false;  // its daemon has heard nothing for a lease
  uint64_t random_ = 100;
  Membership members_;
  MonotonicTime now_ = 1'000'000;
  MembershipNews news_;
  std::vector<DriverCommand> sent_;
};

// Its stream stood still for good.
TEST_F(MembershipTest, AReceiverWhoseEndWasNotHeardIsReplacedWhenItsDaemonNamesItNoMore) {
  Inventory(7);
  ASSERT_EQ(Incarnation(), 9u);
  Beat({}, kEpoch - 1);  // of before the session
  Pass(options_.lease_us / 2'000);
  Beat({9});
  Beat({});  // it may be late
  Pass(options_.lease_us / 2'000);
  Beat({});
  EXPECT_EQ(Incarnation(), 9u);
  Pass(options_.lease_us / 2'000);
  Pass(1);
  Beat({});
  Pass(100);
  ASSERT_EQ(Started("receivers").size(), 1u);
  EXPECT_NE(Incarnation(), 9u);
  EXPECT_EQ(news_.dead_receivers, (std::vector<std::pair<uint32_t, uint64_t>>{{kStream, 9}}));
}

// It was counted on for good: it was heard, and heard nothing.
TEST_F(MembershipTest, AWorkerThatHearsNothingIsLost) {
  const auto half_a_lease = [&] {
    Pass(options_.lease_us / 2'000);
    Beat({});
  };
  Inventory();
  for (int i = 0; i < 4; ++i) half_a_lease();
  EXPECT_TRUE(members_.WorkerServes("w0"));
  deaf_ = true;
  Pass(3 * options_.lease_us / 1'000);  // we slept, and it heard nothing because of that
  for (int i = 0; i < 2; ++i) half_a_lease();
  EXPECT_TRUE(members_.WorkerServes("w0"));
  half_a_lease();
  EXPECT_FALSE(members_.WorkerServes("w0"));
  half_a_lease();
  EXPECT_FALSE(members_.WorkerServes("w0"));
  deaf_ = false;
  Inventory();
  half_a_lease();
  EXPECT_TRUE(members_.WorkerServes("w0"));
}

// Its blocks were called lost before it could answer: we had slept, and it had not.
TEST_F(MembershipTest, ALostWorkerHasItsTimeAnewWhenWeSlept) {
  Inventory();
  Pass(100);
  const auto passed = [&] { return now_ - members_.workers().at("w0").of_use; };
  for (int i = 0; i < 8; ++i) Pass(options_.lease_us / 4'000);
  ASSERT_FALSE(members_.WorkerServes("w0"));
  EXPECT_GT(passed(), options_.lease_us);
  Pass(3 * options_.lease_us / 1'000);
  EXPECT_EQ(passed(), 0);
}

// A new job driver waited for its inventory for good: it heard its beats, of the epoch before.
TEST_F(MembershipTest, AWorkerThatHearsNothingIsNotAwaited) {
  deaf_ = true;
  for (int i = 0; i < 10; ++i) {
    Pass(options_.lease_us / 2'000);
    Beat({}, kEpoch - 1);
  }
  EXPECT_TRUE(members_.InventoriesIn());
  EXPECT_FALSE(members_.WorkerServes("w0"));
}

// Each was asked for anew before the last one had arrived, for ever.
TEST_F(MembershipTest, AnInventoryThatIsLongOnItsWayIsAskedForAFewTimesOnly) {
  Inventory();
  ASSERT_TRUE(members_.SessionsTaken());
  members_.AskInventory("w0");
  std::vector<std::pair<uint64_t, int64_t>> asked;  // which session, and when
  for (int64_t ms = 0; ms < 20'000; ms += 100) {
    sent_.clear();
    Pass(100);
    members_.Heard(now_, "w0");
    for (const auto& m : Sent([](const auto& m) { return m.has_job_session(); })) {
      asked.emplace_back(m.job_session().number(), ms);
    }
    for (const auto& [session, when] : asked) {
      if (ms - when == 2'500) Inventory(std::nullopt, session);
    }
  }
  EXPECT_TRUE(members_.SessionsTaken());
  EXPECT_LE(asked.size(), 4u);
}

TEST_F(MembershipTest, AWorkerThatDoesNotAnswerIsAskedAgainSoonWhenTheLinkToItBroke) {
  const auto asked_within = [&](int64_t ms) {
    sent_.clear();
    Pass(ms);
    members_.Heard(now_, "w0");
    return Sent([](const auto& m) { return m.has_job_session(); }).size();
  };
  EXPECT_EQ(asked_within(600), 1u);
  EXPECT_EQ(asked_within(600), 0u);
  members_.OnPeerDown(now_, {"w0", false}, news_);
  EXPECT_EQ(asked_within(1), 1u);
}

// Another worker had ended one that had the same id in an epoch between.
TEST_F(MembershipTest, TheEndOfAReceiverFromBeforeCountsFromItsOwnWorker) {
  Inventory(7);
  proto::ExecutorExited exited;
  exited.set_epoch(kEpoch - 1);
  exited.set_executor(7);
  EXPECT_FALSE(members_.IsOfOurs("w1", exited));
  EXPECT_TRUE(members_.IsOfOurs("w0", exited));
  exited.set_executor(8);
  EXPECT_FALSE(members_.IsOfOurs("w0", exited));
}

// One word was lost, and the drain took until its deadline.
TEST_F(MembershipTest, ADrainAsksReceiversToEndUntilTheyHave) {
  Inventory(7);
  members_.StopReceivers(sent_);
  for (int i = 0; i < 100; ++i) {
    sent_.clear();  // nothing arrives
    Pass(500);
    members_.Heard(now_, "w0");
    EXPECT_EQ(Stopped(), std::vector<uint32_t>{7});
  }
  proto::ExecutorExited exited;
  exited.set_executor(7);
  members_.OnExited(now_, exited, news_);
  sent_.clear();
  Pass(500);
  EXPECT_TRUE(Stopped().empty());
  EXPECT_TRUE(members_.ReceiverWorkers().empty());
}

TEST_F(MembershipTest, AReceiverThatNobodyHasHeardOfIsNotStartedInADrain) {
  Inventory();
  ASSERT_EQ(Started("receivers").size(), 1u);
  members_.StopReceivers(sent_);
  sent_.clear();
  Pass(1'100);
  EXPECT_TRUE(Started("receivers").empty());
  EXPECT_EQ(Started("tasks").size(), 1u);
}

// It lived beside its replacement until the job ended.
TEST_F(MembershipTest, AnExecutorThatIsGivenUpIsAskedToEndAgain) {
  Inventory();
  const std::vector<uint32_t> started = Started("tasks");
  ASSERT_EQ(started.size(), 1u);
  Ready(started[0]);
  members_.Evict(now_, started[0], news_, sent_);
  sent_.clear();  // it does not arrive
  Pass(500);
  EXPECT_EQ(Stopped(), started);
}

// All that was ever given up was asked to end with every beat.
TEST_F(MembershipTest, AnExecutorThatIsGivenUpIsAskedToEndForAWhileOnly) {
  Inventory();
  size_t given_up = 0, most = 0;
  for (int round = 0; round < 100; ++round) {
    const std::map<uint32_t, ExecutorEntry> all = members_.executors();
    for (const auto& [id, executor] : all) {
      if (executor.receivers) continue;
      members_.Evict(now_, id, news_, sent_);
      ++given_up;
    }
    for (int beat = 0; beat < 12; ++beat) {
      sent_.clear();
      Pass(500);
      members_.Heard(now_, "w0");
      most = std::max(most, Stopped().size());
    }
  }
  EXPECT_GT(given_up, 40u);
  EXPECT_LE(most, 3u);
}

TEST_F(MembershipTest, AWorkerThatIsAwayForLongAndNotListedIsForgottenUntilItIsListedAgain) {
  Inventory();
  const auto minutes_pass = [&] {
    for (int i = 0; i < 300; ++i) Pass(500);
  };
  minutes_pass();
  EXPECT_EQ(members_.workers().size(), 1u) << "the driver daemon knows it";
  Listed(false);
  minutes_pass();
  EXPECT_TRUE(members_.workers().empty());
  EXPECT_EQ(news_.forgotten_workers, std::vector<std::string>({"w0"}));
  Listed(true);
  Inventory();
  EXPECT_TRUE(members_.WorkerServes("w0"));
}

// It went on beside the one that was started in its place.
TEST_F(MembershipTest, AnExecutorOfAWorkerThatWasForgottenIsEndedWhenTheWorkerIsBack) {
  Inventory();
  const std::vector<uint32_t> tasks = Started("tasks");
  ASSERT_EQ(tasks.size(), 1u);
  Ready(tasks[0]);
  Listed(false);
  for (int i = 0; i < 300; ++i) Pass(500);
  ASSERT_TRUE(members_.workers().empty());
  sent_.clear();
  Listed(true);
  Inventory();
  Pass(500);
  const std::vector<uint32_t> stopped = Stopped();
  EXPECT_NE(std::ranges::find(stopped, tasks[0]), stopped.end());
}

// Its worker's disk hung. Nobody received, and a job that had been submitted was not RUNNING.
TEST_F(MembershipTest, AReceiverWhoseStartHasNoAnswerIsPlacedWhereTheJobIsUp) {
  Inventory();
  ASSERT_EQ(Started("receivers").size(), 1u);
  proto::ClusterMembers listed;
  for (const char* id : {"w0", "w1"}) {
    auto& member = *listed.add_workers();
    member.set_worker_id(id);
    member.set_address(id);
    member.set_incarnation(1);
    member.set_slots(1);
  }
  members_.OnMembers(now_, listed, news_);
  Pass(0);
  proto::WorkerInventory other;
  other.set_worker_id("w1");
  other.set_incarnation(1);
  other.set_epoch(kEpoch);
  other.set_session(members_.SessionOf("w1"));
  members_.OnInventory(now_, other, news_);
  Pass(0);
  const auto pass = [&](int64_t ms) {
    for (; ms > 0; ms -= 1'000) {
      for (const char* id : {"w0", "w1"}) members_.Heard(now_, id);
      Pass(1'000);
    }
  };
  pass(70'000);  // nothing of the job is up anywhere: it may be slow to fetch
  EXPECT_EQ(members_.ReceiverOf(kStream)->worker_id, "w0");
  const uint64_t former = Incarnation();
  for (const auto& [id, executor] : members_.executors()) {
    if (!executor.receivers && executor.worker_id == "w1") Ready(id);
  }
  pass(1'000);
  EXPECT_EQ(members_.ReceiverOf(kStream)->worker_id, "w1");
  EXPECT_NE(Incarnation(), former);
  EXPECT_EQ(Stopped().front(), Started("receivers").front());
  ASSERT_EQ(news_.dead_receivers.size(), 1u);
  EXPECT_EQ(news_.dead_receivers[0].second, former);
}

TEST_F(MembershipTest, AReceiverIsUpWhenItsDaemonNamesItAndNotGoneBeforeItDoes) {
  Inventory();
  ASSERT_EQ(Started("receivers").size(), 1u);
  Beat({});
  EXPECT_FALSE(members_.ReceiversUp());
  Beat({Incarnation()});
  EXPECT_TRUE(members_.ReceiversUp());
}

}  // namespace
}  // namespace sluice
