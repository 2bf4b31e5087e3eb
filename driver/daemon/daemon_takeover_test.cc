// What a driver daemon does with the table of one that ran on another node.
#include "driver/daemon/daemon_core_fixture.h"

namespace sluice::daemon {
namespace {

// Job drivers of the fixture are on the host "driver".
class TakeoverTest : public DaemonTest {
 protected:
  void Lead(const std::string& host, uint64_t epoch, const proto::JobTable& table = {}) {
    Begin(table, host, {epoch, host + ":7077"});
  }
  // A job that its first leader, on the job driver's host, has started.
  void RunJob(const std::string& checkpoint) {
    Lead("driver", 1);
    SubmitJob event{1, {}, "run", 0};
    event.spec.set_name("wc");
    event.spec.set_checkpoint(checkpoint);
    Do(event);
    Do(DriverStarted{"wc", 10, 77, "/data/jobs/wc/run"});
    Register("wc", 10);
    WorkerUp("w1");
    Beat("w1");
  }
  // Links to which the last commands say who leads.
  std::set<std::string> Told(const std::string& leader, uint64_t epoch) const {
    std::set<std::string> told;
    for (const Send& send : Last<Send>()) {
      if (!send.message.has_driver_leads()) continue;
      EXPECT_EQ(send.message.driver_leads().address(), leader);
      EXPECT_EQ(send.message.leader_epoch(), epoch);
      told.insert(send.to);
    }
    return told;
  }
  // Reports go on, of all that the fixture has.
  void PassWithReports(MonotonicTime us) {
    for (MonotonicTime end = now_ + us; now_ < end;) {
      Beat("w1");
      Status("wc", 10, "RUNNING", 1);
      Pass(kSecond);
    }
  }
};

TEST_F(TakeoverTest, WhoeverTheTableNamesIsToldUntilItRegisters) {
  RunJob("s3://b/p");
  Lead("other", 2, disk_);
  Pass(2 * kSecond);
  EXPECT_EQ(Told("other:7077", 2), (std::set<std::string>{"driver:10", "w1:1"}));
  WorkerUp("w1");
  EXPECT_EQ(Last<Send>()[0].message.leader_epoch(), 2u);
  Pass(2 * kSecond);
  EXPECT_EQ(Told("other:7077", 2), (std::set<std::string>{"driver:10"}));
  Register("wc", 10);
  Pass(2 * kSecond);
  EXPECT_TRUE(Told("other:7077", 2).empty());
  EXPECT_EQ(disk_.workers_size(), 1) << "for the one that takes over next";
}

// Links to job drivers need the job's token and its authority.
TEST_F(TakeoverTest, AJobDriverThatTheTableNamesIsIntroducedBeforeItIsTold) {
  RunJob("s3://b/p");
  Lead("other", 2, disk_);
  Do(Tick{});
  ASSERT_EQ(Last<Introduce>().size(), 1u) << "of workers there is nothing to say";
  EXPECT_EQ(Last<Introduce>()[0].address, "driver:10");
  EXPECT_EQ(Last<Introduce>()[0].job, "wc");
  EXPECT_TRUE(std::holds_alternative<Introduce>(last_[0]));
}

TEST_F(TakeoverTest, ADaemonWithoutAStandbyTellsNobodyAndKeepsNoLinks) {
  Begin();
  WorkerUp("w1");
  EXPECT_EQ(Last<Send>()[0].message.leader_epoch(), 0u);
  EXPECT_EQ(disk_.workers_size(), 0);
}

TEST_F(TakeoverTest, AJobDriverOnAnotherNodeIsWatchedByItsReports) {
  RunJob("s3://b/p");
  Lead("other", 2, disk_);
  Register("wc", 10);
  EXPECT_TRUE(Last<WatchDriver>().empty()) << "its process is not here";
  PassWithReports(60 * kSecond);
  EXPECT_TRUE(Last<StartDriver>().empty());
  Pass(14 * kSecond);
  EXPECT_TRUE(Last<StartDriver>().empty()) << "three leases of silence";
  Pass(3 * kSecond);
  ASSERT_EQ(Last<StartDriver>().size(), 1u);
  EXPECT_FALSE(Last<StartDriver>()[0].first);
  EXPECT_EQ(Last<StartDriver>()[0].folder, "") << "its folder is not here either";
  EXPECT_TRUE(Last<EndFormer>().empty());
}

TEST_F(TakeoverTest, ARefusedConnectionEndsAJobDriverOnAnotherNode) {
  RunJob("s3://b/p");
  Lead("other", 2, disk_);
  Register("wc", 10);
  Do(PeerDown{"driver:10", false});
  Pass(kSecond);
  EXPECT_TRUE(Last<StartDriver>().empty()) << "a link that broke proves nothing";
  Do(PeerDown{"driver:10", true});
  Pass(kSecond);
  EXPECT_EQ(Last<StartDriver>().size(), 1u);
}

TEST_F(TakeoverTest, AJobDriverThatNeverRegistersIsReplacedWithoutAProcessToEnd) {
  RunJob("s3://b/p");
  Lead("other", 2, disk_);
  Pass(7 * kSecond);
  EXPECT_TRUE(Last<EndFormer>().empty()) << "that number may be of any process here";
  EXPECT_EQ(Last<StartDriver>().size(), 1u);
}

TEST_F(TakeoverTest, ALostJobDriverThatStillHoldsItsLogGetsTheJobBack) {
  RunJob("rocksdb:/shared");
  Lead("other", 2, disk_);
  Pass(7 * kSecond);
  Do(DriverStarted{"wc", 20, 5, "/here"});
  Exit("wc", 20, 7);
  EXPECT_EQ(State("wc"), "RECOVERING") << "and not FENCED while the holder may be out of reach";
  Register("wc", 10);
  EXPECT_EQ(core_->Job("wc")->driver_pid(), 10);
  PassWithReports(10 * kSecond);
  EXPECT_TRUE(Last<StartDriver>().empty());
}

TEST_F(TakeoverTest, AnEndThatIsReportedFromAnotherNodeIsTheJobsEnd) {
  RunJob("s3://b/p");
  Lead("other", 2, disk_);
  Register("wc", 10);
  Status("wc", 10, "FINISHED", 7);
  EXPECT_EQ(State("wc"), "FINISHED");
  EXPECT_TRUE(core_->Job("wc")->ended());
}

TEST_F(TakeoverTest, AJobWhoseLogWasOnANodeThatIsGoneIsNotBegunAfresh) {
  RunJob("");
  Lead("other", 2, disk_);
  Pass(7 * kSecond);
  EXPECT_TRUE(Last<StartDriver>().empty());
  EXPECT_EQ(State("wc"), "FAILED");
  EXPECT_EQ(core_->Job("wc")->status().exit_code(), 8);
  EXPECT_NE(core_->Job("wc")->status().failure().find("/data/jobs/wc/run on driver"),
            std::string::npos);
}

TEST_F(TakeoverTest, OnTheSameHostAJobGoesOnInItsFolder) {
  RunJob("");
  Lead("driver", 2, disk_);
  Register("wc", 10);
  ASSERT_EQ(Last<WatchDriver>().size(), 1u);
  EXPECT_EQ(Last<WatchDriver>()[0].folder, "/data/jobs/wc/run");
  Kill("wc", 10);
  Pass(kSecond);
  ASSERT_EQ(Last<StartDriver>().size(), 1u);
  EXPECT_EQ(Last<StartDriver>()[0].folder, "/data/jobs/wc/run");
}

}  // namespace
}  // namespace sluice::daemon
