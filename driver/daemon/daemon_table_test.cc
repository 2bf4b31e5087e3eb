// What the driver daemon's table must say before a job begins, and of jobs that have ended.
#include "driver/daemon/daemon_core_fixture.h"

namespace sluice::daemon {
namespace {

// The daemon that came next started the running job with --fresh --discard-checkpoint again.
TEST_F(DaemonTest, AJobIsToldOfNoWorkerBeforeItIsOnDiskThatItsLogExists) {
  Begin();
  WorkerUp("w1");
  Submit("wc");
  Do(DriverStarted{"wc", 10, 77});
  disk_full_ = true;
  Register("wc", 10);
  EXPECT_EQ(MembersTold(10), -1);
  Pass(2 * kSecond);
  EXPECT_EQ(MembersTold(10), -1);
  EXPECT_FALSE(disk_.jobs(0).opened());
  Do(Saved{});
  EXPECT_EQ(MembersTold(10), 1);
  Beat("w1");
  WorkerUp("w2");
  EXPECT_EQ(MembersTold(10), 2) << "a job that has begun is told whatever the disk does";
}

// The table grew until it could be saved and not be loaded any more.
TEST_F(DaemonTest, OfJobsThatHaveEndedTheLatestAreKept) {
  proto::JobTable table;
  table.add_jobs()->mutable_spec()->set_name("long");
  table.mutable_jobs(0)->set_opened(true);
  for (int i = 0; i < kEndedJobsMax; ++i) {
    proto::JobRecord& job = *table.add_jobs();
    job.mutable_spec()->set_name("short" + std::to_string(i));
    job.set_ended(true);
  }
  Begin(table);
  Register("long", 1);
  Submit("next");
  StartUp("next", 2);
  EXPECT_EQ(disk_.jobs_size(), kEndedJobsMax + 2);
  Exit("next", 2, 0);
  EXPECT_EQ(disk_.jobs_size(), kEndedJobsMax + 1);
  ASSERT_EQ(Last<ForgetRuns>().size(), 1u);
  EXPECT_EQ(Last<ForgetRuns>()[0].job, "short0");
  EXPECT_FALSE(core_->Job("short0").has_value());
  EXPECT_TRUE(core_->Job("short1").has_value());
  Exit("long", 1, 0);
  EXPECT_EQ(State("long"), "FINISHED") << "it was submitted first and ended last";
  EXPECT_FALSE(core_->Job("short1").has_value());
}

TEST_F(DaemonTest, JobsThatHaveEndedTakeNoMoreThanTheirPartOfTheTable) {
  Begin();
  for (int i = 0; i < 10; ++i) {
    const std::string name = "wide" + std::to_string(i);
    Submit(name, {{"words", std::string(kEndedBytesMax / 4, 'x')}});
    StartUp(name, 100 + i);
    Exit(name, 100 + i, 0);
  }
  EXPECT_EQ(disk_.jobs_size(), 3);
  EXPECT_EQ(State("wide9"), "FINISHED");
  Submit("vast", {{"words", std::string(2 * kEndedBytesMax, 'x')}});
  StartUp("vast", 200);
  Exit("vast", 200, 0);
  EXPECT_EQ(State("vast"), "FINISHED") << "whoever waits for it finds it";
}

// With twenty jobs ten tables were written a second, each with fsync or into a bucket.
TEST_F(DaemonTest, AJobDriverThatSaysAgainWhatIsKnownWritesNoTable) {
  Begin();
  Submit("wc");
  StartUp("wc", 10);
  ASSERT_EQ(Last<Persist>().size(), 1u);
  Register("wc", 10);
  EXPECT_TRUE(Last<Persist>().empty());
  Begin(disk_);
  Register("wc", 10);
  EXPECT_EQ(Last<Persist>().size(), 1u) << "it was taken over";
}

}  // namespace
}  // namespace sluice::daemon
