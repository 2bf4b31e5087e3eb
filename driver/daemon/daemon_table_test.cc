// What the driver daemon's table must say before a job begins.
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

}  // namespace
}  // namespace sluice::daemon
