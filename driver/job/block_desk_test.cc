// Which worker knows of which peers, and what a block's holders are told.
#include "driver/job/block_desk.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr uint64_t kEpoch = 3;
constexpr int64_t kLeaseUs = 1'000'000;

// Two workers, the books of one job driver, and what these books send.
class Books {
 public:
  Books() : members_(options_, kEpoch, {}, [] { return uint64_t{7}; }),
            log_(&state_, JobState(), 1),
            blocks_(options_, &state_, &log_, &members_, kEpoch) {
    options_.lease_us = kLeaseUs;
    members_.SetJob(1, {});
    for (const char* id : {"w0", "w1"}) {
      auto& member = *both_.add_workers();
      member.set_worker_id(id);
      member.set_address(id);
      member.set_host(id);
      member.set_incarnation(1);
      member.set_slots(1);
    }
    List();
  }

  // The driver daemon says which workers there are.
  void List() {
    MembershipNews news;
    members_.OnMembers(now_, both_, news);
  }
  bool InventoriesIn() const { return members_.InventoriesIn(); }

  // Lets time pass; what was sent since is in `sent`.
  void Pass(int64_t us) {
    now_ += us;
    sent.clear();
    std::vector<DriverCommand> out;
    MembershipNews news;
    members_.OnTimer(now_, news, out);
    for (const std::string& worker : news.lost_workers) blocks_.OnWorkerLost(worker);
    blocks_.OnTimer(now_, out);
    log_.Flush(out);
    for (DriverCommand& command : out) {
      if (auto* send = std::get_if<Send>(&command)) sent.push_back(std::move(*send));
    }
  }
  // The session that `worker` was sent, or null.
  const proto::JobSession* SessionTo(const std::string& worker) const {
    for (const Send& send : sent) {
      if (send.to == worker && send.message.has_job_session()) return &send.message.job_session();
    }
    return nullptr;
  }
  // The release that `worker` was sent, or null.
  const proto::ReleaseBlocks* ReleaseTo(const std::string& worker) const {
    for (const Send& send : sent) {
      if (send.to == worker && send.message.has_release_blocks()) {
        return &send.message.release_blocks();
      }
    }
    return nullptr;
  }
  void Inventory(const std::string& worker, uint64_t session, std::vector<uint64_t> blocks = {},
                 uint32_t receiver = 0) {
    proto::WorkerInventory inventory;
    inventory.set_worker_id(worker);
    inventory.set_incarnation(1);
    inventory.set_epoch(kEpoch);
    inventory.set_session(session);
    for (const uint64_t number : blocks) *inventory.add_blocks() = Block(number);
    if (receiver != 0) {
      auto& live = *inventory.add_receivers();
      live.set_executor(receiver);
      live.set_incarnation(100 + receiver);
    }
    MembershipNews news;
    members_.OnInventory(now_, inventory, news);
    blocks_.OnInventory(inventory);
  }
  std::vector<uint32_t> Started() const {
    std::vector<uint32_t> started;
    for (const Send& send : sent) {
      if (send.message.has_start_executor()) {
        started.push_back(send.message.start_executor().executor());
      }
    }
    return started;
  }
  bool Stopped(const std::string& worker, uint32_t executor) const {
    return std::any_of(sent.begin(), sent.end(), [&](const Send& send) {
      return send.to == worker && send.message.has_stop_executor() &&
             send.message.stop_executor().executor() == executor;
    });
  }
  void Beat(const std::string& worker, uint64_t releases = 0, uint64_t blocks = 0) {
    proto::LeaseBeat beat;
    beat.set_worker_id(worker);
    beat.set_incarnation(1);
    beat.set_epoch(kEpoch);
    beat.set_releases(releases);
    beat.set_blocks(blocks);
    members_.OnBeat(now_, beat);
    blocks_.OnBeat(now_, beat);
  }
  void Announce(uint64_t number, std::vector<std::string> holders) {
    proto::BlockAnnounce announce;
    *announce.mutable_block() = Block(number);
    for (const std::string& holder : holders) announce.add_holders(holder);
    std::vector<DriverCommand> out;
    blocks_.OnAnnounce("w0", announce, out);
    log_.Flush(out);
  }
  // A checkpoint covers it.
  void Cover(uint64_t number) {
    proto::Entry planned;
    auto& composition = *planned.mutable_planned()->mutable_composition();
    composition.set_batch_ms(static_cast<int64_t>(1000 * number));
    *composition.add_sources()->add_tasks()->add_pieces()->mutable_block() = Block(number);
    log_.Enqueue(planned);
    proto::Entry decided;
    decided.mutable_decided()->set_batch_ms(composition.batch_ms());
    log_.Enqueue(decided);
    proto::Entry sealed;
    sealed.mutable_sealed()->set_batch_ms(composition.batch_ms());
    log_.Enqueue(sealed);
    MakeDurable();
    blocks_.Release(state_.TakeCoveredBlocks());
  }
  // All that the log was told so far is durable.
  void MakeDurable() {
    std::vector<DriverCommand> out;
    log_.Flush(out);
    while (!log_.idle()) log_.OnDurable({slot_++, 0}, out);
  }
  // What follows is of a source that sends again what was not acknowledged.
  void MakeReliable() { reliable_ = true; }
  // Both workers have answered their first sessions.
  void Greet() {
    Pass(1'000);
    const uint64_t first = SessionTo("w0")->number(), second = SessionTo("w1")->number();
    Inventory("w0", first);
    Inventory("w1", second);
  }
  std::vector<std::string> Holders(uint64_t number) const {
    return blocks_.HoldersOf({0, 5, number});
  }

  std::vector<Send> sent;

 private:
  proto::BlockInfo Block(uint64_t number) const {
    proto::BlockInfo block;
    block.mutable_name()->set_job_instance(1);
    block.mutable_name()->set_incarnation(5);
    block.mutable_name()->set_number(number);
    block.set_records(1);
    block.set_bytes(10);
    block.set_reliable(reliable_);
    return block;
  }

  JobDriverOptions options_;
  proto::ClusterMembers both_;
  JobState state_;
  Membership members_;
  LogQueue log_;
  BlockDesk blocks_;
  MonotonicTime now_ = 1'000'000;
  uint64_t slot_ = 1;
  bool reliable_ = false;
};

using Names = std::vector<std::string>;

TEST(MembershipTest, AWorkerThatWasSilentAndReturnsIsNamedToItsPeers) {
  Books books;
  books.Greet();
  for (int i = 0; i < 5; ++i) {  // w0 says nothing for more than a lease
    books.Pass(kLeaseUs / 4);
    books.Beat("w1");
  }
  ASSERT_NE(books.SessionTo("w1"), nullptr);
  EXPECT_EQ(books.SessionTo("w1")->members().workers_size(), 1);
  books.Inventory("w1", books.SessionTo("w1")->number());
  ASSERT_NE(books.SessionTo("w0"), nullptr);
  books.Inventory("w0", books.SessionTo("w0")->number());
  books.Pass(1'000);
  ASSERT_NE(books.SessionTo("w1"), nullptr);
  EXPECT_EQ(books.SessionTo("w1")->members().workers_size(), 2);
}

TEST(MembershipTest, AWorkerThatIsLostIsNotAwaitedAgainWheneverItIsListed) {
  Books books;
  books.Greet();
  for (int i = 0; i < 5; ++i) {  // w0 says nothing for more than a lease
    books.Pass(kLeaseUs / 4);
    books.Beat("w1");
  }
  ASSERT_TRUE(books.InventoriesIn());
  books.List();
  EXPECT_TRUE(books.InventoriesIn());
}

TEST(MembershipTest, ASessionIsRepeatedUntilItIsAnswered) {
  Books books;
  books.Pass(1'000);
  const uint64_t lost = books.SessionTo("w0")->number();
  books.Inventory("w1", books.SessionTo("w1")->number());
  books.Pass(600'000);
  ASSERT_NE(books.SessionTo("w0"), nullptr);
  EXPECT_EQ(books.SessionTo("w1"), nullptr);
  const uint64_t second = books.SessionTo("w0")->number();
  EXPECT_GT(second, lost);
  books.Inventory("w0", lost);  // an answer to an older one tells not whether this one arrived
  books.Beat("w1");
  books.Pass(600'000);
  ASSERT_NE(books.SessionTo("w0"), nullptr);
  books.Inventory("w0", books.SessionTo("w0")->number());
  books.Beat("w1");
  books.Pass(600'000);
  EXPECT_EQ(books.SessionTo("w0"), nullptr);
}

TEST(MembershipTest, OfTwoReceiversOfOneStreamOneIsStopped) {
  Books books;
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number(), second = books.SessionTo("w1")->number();
  books.Inventory("w0", first, {}, 4);
  books.Inventory("w1", second, {}, 5);  // a former driver gave it up and could not end it
  books.Pass(kLeaseUs / 5);
  EXPECT_FALSE(books.Stopped("w0", 4));
  EXPECT_TRUE(books.Stopped("w1", 5));
}

TEST(MembershipTest, NoExecutorGetsTheIdOfAReceiverOfAFormerEpoch) {
  Books books;
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number(), second = books.SessionTo("w1")->number();
  books.Inventory("w0", first);
  books.Pass(1'000);
  EXPECT_TRUE(books.Started().empty());  // w1 may have one
  books.Inventory("w1", second, {}, 1);
  books.Pass(1'000);
  EXPECT_EQ(books.Started(), (std::vector<uint32_t>{2, 3}));
}

TEST(MembershipTest, AReceiverThatReturnsWithAnIdInUseIsStopped) {
  Books books;
  books.Greet();
  books.Pass(1'000);
  ASSERT_EQ(books.Started(), (std::vector<uint32_t>{1, 2}));
  // w0 says nothing for more than a lease.
  for (int i = 0; i < 5 || books.SessionTo("w0") == nullptr; ++i) {
    books.Pass(kLeaseUs / 4);
    books.Beat("w1");
  }
  books.Inventory("w0", books.SessionTo("w0")->number(), {}, 2);
  books.Pass(kLeaseUs / 5);
  EXPECT_TRUE(books.Stopped("w0", 2));
  EXPECT_FALSE(books.Stopped("w1", 2));
}

TEST(BlockDeskTest, AReleaseIsRepeatedUntilABeatNamesIt) {
  Books books;
  books.Greet();
  books.Announce(1, {"w0", "w1"});
  books.Cover(1);
  books.Pass(1'000);
  ASSERT_NE(books.ReleaseTo("w0"), nullptr);
  ASSERT_NE(books.ReleaseTo("w1"), nullptr);
  const uint64_t number = books.ReleaseTo("w0")->number();
  books.Beat("w1", books.ReleaseTo("w1")->number());
  books.Beat("w0", number - 1);
  books.Pass(600'000);
  EXPECT_EQ(books.ReleaseTo("w1"), nullptr);
  ASSERT_NE(books.ReleaseTo("w0"), nullptr);
  EXPECT_EQ(books.ReleaseTo("w0")->number(), number);
  EXPECT_EQ(books.ReleaseTo("w0")->names_size(), 1);
  books.Beat("w0", number);
  books.Pass(600'000);
  EXPECT_EQ(books.ReleaseTo("w0"), nullptr);
}

TEST(BlockDeskTest, ACopyThatIsAnnouncedAfterItsBlockWasCoveredIsReleased) {
  Books books;
  books.Greet();
  books.Announce(1, {"w0"});
  books.Cover(1);
  books.Pass(1'000);
  EXPECT_EQ(books.ReleaseTo("w1"), nullptr);
  books.Announce(1, {"w0", "w1"});
  books.Pass(1'000);
  EXPECT_NE(books.ReleaseTo("w1"), nullptr);
}

// Simulator seed 56: a driver that was fenced before the log had it took away a block whose
// receiver lived, and its successor waited for that block for ever.
TEST(BlockDeskTest, WhatADeadReceiverLeftIsReleasedOnlyWhenTheLogHasItsNumber) {
  Books books;
  books.MakeReliable();
  books.Pass(1'000);
  const uint64_t first = books.SessionTo("w0")->number(), second = books.SessionTo("w1")->number();
  books.Inventory("w0", first, {1});
  books.Inventory("w1", second);
  for (int i = 0; i < 3; ++i) {
    books.Pass(kLeaseUs / 5);
    EXPECT_EQ(books.ReleaseTo("w0"), nullptr);
  }
  books.MakeDurable();
  books.Pass(kLeaseUs / 5);
  EXPECT_NE(books.ReleaseTo("w0"), nullptr);
}

TEST(BlockDeskTest, AWorkerThatHoldsMoreThanIsKnownIsAskedForItsInventory) {
  Books books;
  books.Greet();
  books.Pass(1'000);
  for (int i = 0; i < 20 && books.SessionTo("w0") == nullptr; ++i) {
    books.Beat("w0", 0, 1);
    books.Beat("w1");
    books.Pass(kLeaseUs / 4);
  }
  ASSERT_NE(books.SessionTo("w0"), nullptr);
  EXPECT_EQ(books.SessionTo("w1"), nullptr);
}

TEST(BlockDeskTest, AnInventoryOlderThanAnAnnouncementDoesNotTakeItsHolderAway) {
  Books books;
  books.Pass(1'000);
  const uint64_t session = books.SessionTo("w0")->number();
  books.Inventory("w1", books.SessionTo("w1")->number());
  books.Announce(1, {"w0"});
  books.Inventory("w0", session);  // made before the block was sealed, and late
  EXPECT_EQ(books.Holders(1), Names{"w0"});
  books.Beat("w1");
  books.Pass(600'000);
  books.Inventory("w0", session + 100);  // one that was asked for later is believed
  EXPECT_EQ(books.Holders(1), Names{});
}

}  // namespace
}  // namespace sluice
