#include "driver/daemon/lease_core.h"

#include <gtest/gtest.h>

namespace sluice::daemon::lease {
namespace {

constexpr MonotonicTime kSecond = 1'000'000;
constexpr MonotonicTime kLease = 4 * kSecond;

// A core under a test's hand: what the last step asked for is its only command, or nothing.
class LeaseTest : public testing::Test {
 protected:
  template <class T>
  bool Asks(const Event& event) {
    last_ = core_.Step(now_, event);
    return last_.size() == 1 && std::holds_alternative<T>(last_[0]);
  }
  bool Silent(const Event& event) { return (last_ = core_.Step(now_, event)).empty(); }
  Seen Slot(uint64_t slot, uint64_t epoch = 1, const std::string& node = "other") const {
    return {now_, slot, epoch, true, node + ":1", node, false};
  }
  // In the seat, with a first entry in the log.
  void TakeTheSeat() {
    ASSERT_TRUE(Asks<Look>(Turn{}));
    ASSERT_TRUE(Asks<OpenEpoch>(Seen{}));
    core_.Step(now_, Opened{now_, 1});
    ASSERT_TRUE(Silent(Appended{now_}));
    ASSERT_TRUE(core_.Sure(now_));
  }

  Core core_{{"me:1", "me", kLease}};
  MonotonicTime now_ = 100 * kSecond;
  std::vector<Command> last_;
};

TEST_F(LeaseTest, AnEmptyLogIsTakenAtOnceAndOthersAreTold) {
  ASSERT_TRUE(Asks<Look>(Turn{}));
  ASSERT_TRUE(Asks<OpenEpoch>(Seen{}));
  const std::vector<Command> commands = core_.Step(now_, Opened{now_, 1});
  ASSERT_EQ(commands.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<Lead>(commands[0]));
  EXPECT_TRUE(std::holds_alternative<Renew>(commands[1]));
}

TEST_F(LeaseTest, ALeaderThatGoesOnIsNotReplaced) {
  for (uint64_t slot = 1; slot < 100; ++slot, now_ += kSecond) {
    ASSERT_TRUE(Asks<Look>(Turn{}));
    ASSERT_TRUE(Silent(Slot(slot)));
    EXPECT_EQ(core_.leader(), "other:1");
  }
}

TEST_F(LeaseTest, ASlotThatStaysForALeaseAndAQuarterIsTakenOver) {
  const MonotonicTime first = now_;
  for (; now_ < first + kLease + kSecond; now_ += kSecond) {
    ASSERT_TRUE(Asks<Look>(Turn{}));
    ASSERT_TRUE(Silent(Slot(7))) << "after " << now_ - first;
  }
  ASSERT_TRUE(Asks<Look>(Turn{}));
  EXPECT_TRUE(Asks<OpenEpoch>(Slot(7)));
}

TEST_F(LeaseTest, AStandbyThatSleptDoesNotTakeItsSleepForTheLeadersSilence) {
  ASSERT_TRUE(Asks<Look>(Turn{}));
  ASSERT_TRUE(Silent(Slot(7)));
  now_ += 100 * kLease;
  ASSERT_TRUE(Asks<Look>(Turn{}));
  EXPECT_TRUE(Silent(Slot(8)));
}

TEST_F(LeaseTest, AStandbyThatSleptWithinALookDoesNotEither) {
  ASSERT_TRUE(Asks<Look>(Turn{}));
  ASSERT_TRUE(Silent(Slot(7)));
  now_ += kSecond;
  ASSERT_TRUE(Asks<Look>(Turn{}));
  const Seen old = Slot(7);
  now_ += 100 * kLease;
  EXPECT_TRUE(Silent(old)) << "who knows what has come since";
}

TEST_F(LeaseTest, WhoResignedOrIsThisFoldersFormerProcessIsReplacedAtOnce) {
  ASSERT_TRUE(Asks<Look>(Turn{}));
  Seen resigned = Slot(7);
  resigned.resigned = true;
  EXPECT_TRUE(Asks<OpenEpoch>(resigned));

  Core again({"me:1", "me", kLease});
  again.Step(now_, Turn{});
  EXPECT_EQ(again.Step(now_, Slot(7, 1, "me")).size(), 1u);

  Core copy({"elsewhere:1", "me", kLease});  // a folder that was copied with its disk
  copy.Step(now_, Turn{});
  EXPECT_TRUE(copy.Step(now_, Slot(7, 1, "me")).empty());
}

TEST_F(LeaseTest, ARecordOfAnOvertakenEpochIsNoSignOfLife) {
  const MonotonicTime first = now_;
  uint64_t slot = 10;
  for (; now_ < first + kLease + kSecond; now_ += kSecond) {
    ASSERT_TRUE(Asks<Look>(Turn{}));
    ASSERT_TRUE(Silent(now_ == first ? Slot(slot, 5) : Slot(++slot, 4)));
  }
  ASSERT_TRUE(Asks<Look>(Turn{}));
  EXPECT_TRUE(Asks<OpenEpoch>(Slot(++slot, 4)));
}

TEST_F(LeaseTest, TheLeaseCountsFromTheBeginningOfTheAppend) {
  TakeTheSeat();
  now_ += kSecond;
  ASSERT_TRUE(Asks<Renew>(Turn{}));
  const MonotonicTime begun = now_;
  now_ += kLease - 1;  // the store took its time
  ASSERT_TRUE(Silent(Appended{begun}));
  EXPECT_TRUE(core_.Sure(now_));
  ++now_;
  EXPECT_FALSE(core_.Sure(now_));
  EXPECT_TRUE(core_.leads()) << "until an append shows otherwise";
  EXPECT_TRUE(Asks<Renew>(Turn{})) << "without waiting for its turn";
}

TEST_F(LeaseTest, ALeaderThatSleptAndWasReplacedStandsBy) {
  TakeTheSeat();
  now_ += 10 * kLease;
  EXPECT_FALSE(core_.Sure(now_));
  ASSERT_TRUE(Asks<Renew>(Turn{}));
  EXPECT_TRUE(Asks<Follow>(Fenced{}));
  EXPECT_FALSE(core_.leads());
  ASSERT_TRUE(Asks<Look>(Turn{}));
  EXPECT_TRUE(Silent(Slot(9, 2)));
}

TEST_F(LeaseTest, AStoreThatIsAwayEndsTheLeaseAndNotTheLeader) {
  TakeTheSeat();
  for (MonotonicTime end = now_ + kLease - kSecond / 2; now_ < end; now_ += kSecond / 4) {
    core_.Step(now_, Turn{});
    ASSERT_TRUE(Silent(AppendStalled{}));
  }
  now_ += kSecond;
  ASSERT_TRUE(Asks<Renew>(Turn{}));
  EXPECT_TRUE(Asks<Follow>(AppendStalled{}));
  ASSERT_TRUE(Asks<Look>(Turn{}));
  ASSERT_TRUE(Silent(LookFailed{}));
  now_ += kSecond;
  ASSERT_TRUE(Asks<Look>(Turn{}));
  EXPECT_TRUE(Asks<OpenEpoch>(Slot(3, 1, "me"))) << "nobody else came";
}

TEST_F(LeaseTest, ATakeoverThatFailedGivesOthersTheirTurn) {
  ASSERT_TRUE(Asks<Look>(Turn{}));
  ASSERT_TRUE(Asks<OpenEpoch>(Seen{}));
  ASSERT_TRUE(Silent(OpenFailed{}));
  EXPECT_TRUE(Silent(Turn{}));
  now_ += kSecond;
  ASSERT_TRUE(Asks<Look>(Turn{}));
  EXPECT_TRUE(Silent(Slot(2, 2)));
}

}  // namespace
}  // namespace sluice::daemon::lease
