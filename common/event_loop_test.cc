#include "common/event_loop.h"

#include <atomic>
#include <future>
#include <memory>

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(ManualClockTest, MovesOnlyWhenMoved) {
  ManualClock clock(5, 1000);
  EXPECT_EQ(clock.MonotonicUs(), 5);
  clock.Advance(2'000'000);
  EXPECT_EQ(clock.MonotonicUs(), 2'000'005);
  EXPECT_EQ(clock.WallMs(), 3000);
  clock.SetWallMs(7);
  EXPECT_EQ(clock.WallMs(), 7);
}

TEST(RealClockTest, DoesNotGoBack) {
  const MonotonicTime before = RealClock().MonotonicUs();
  EXPECT_LE(before, RealClock().MonotonicUs());
  EXPECT_GT(RealClock().WallMs(), 1'600'000'000'000);
}

TEST(EventLoopTest, RunsTasksInOrder) {
  EventLoop loop;
  std::vector<int> seen;
  for (int i = 0; i < 1000; ++i) loop.Post([&seen, i] { seen.push_back(i); });
  loop.Sync();
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[i], i);
}

TEST(EventLoopTest, RunsTimersByTimeWhenTheClockReachesThem) {
  ManualClock clock;
  EventLoop loop({.clock = &clock});
  std::string seen;
  loop.RunAfter(200, [&] { seen += "b"; });
  loop.RunAfter(100, [&] { seen += "a"; });
  loop.RunAfter(301, [&] { seen += "c"; });
  loop.Sync();
  EXPECT_EQ(seen, "");
  clock.Advance(300);
  loop.Sync();
  EXPECT_EQ(seen, "ab");
  clock.Advance(1);
  loop.Sync();
  EXPECT_EQ(seen, "abc");
}

TEST(EventLoopTest, AManualClockWakesTheSleepingLoop) {
  ManualClock clock;
  EventLoop loop({.clock = &clock});
  std::promise<void> ran;
  loop.RunAfter(50, [&] { ran.set_value(); });
  clock.Advance(50);
  ran.get_future().wait();
}

TEST(EventLoopTest, ARealTimerComesWithoutAnyPost) {
  EventLoop loop;
  std::promise<MonotonicTime> ran;
  const MonotonicTime start = RealClock().MonotonicUs();
  loop.RunAfter(2000, [&] { ran.set_value(RealClock().MonotonicUs()); });
  EXPECT_GE(ran.get_future().get() - start, 2000);
}

TEST(EventLoopTest, ACancelledTimerDoesNotRun) {
  ManualClock clock;
  EventLoop loop({.clock = &clock});
  bool ran = false;
  const EventLoop::TimerId timer = loop.RunAfter(10, [&] { ran = true; });
  EXPECT_TRUE(loop.Cancel(timer));
  EXPECT_FALSE(loop.Cancel(timer));
  clock.Advance(10);
  loop.Sync();
  EXPECT_FALSE(ran);
}

TEST(EventLoopTest, ATimerThatSetsItselfAgainDoesNotStarveTheQueue) {
  ManualClock clock;
  EventLoop loop({.clock = &clock});
  std::function<void()> again = [&] { loop.RunAfter(0, [&] { again(); }); };
  loop.Post(again);
  loop.Sync();
  loop.Sync();
}

TEST(EventLoopTest, APosterWaitsForRoom) {
  EventLoop loop({.queue_max = 1});
  std::promise<void> started, release;
  loop.Post([&] {
    started.set_value();
    release.get_future().wait();
  });
  started.get_future().wait();
  std::atomic<int> ran{0};
  loop.Post([&] { ++ran; });
  std::thread poster([&] { loop.Post([&] { ++ran; }); });
  loop.PostNow([&] { ++ran; });  // may pass the bound
  release.set_value();
  poster.join();
  loop.Sync();
  EXPECT_EQ(ran, 3);
}

TEST(EventLoopTest, ALoopNeverWaitsForAnother) {
  EventLoop full({.queue_max = 1});
  EventLoop other;
  std::promise<void> started, release;
  full.Post([&] {
    started.set_value();
    release.get_future().wait();
  });
  started.get_future().wait();
  for (int i = 0; i < 10; ++i) other.Post([&] { full.Post([] {}); });
  other.Sync();
  release.set_value();
}

TEST(EventLoopTest, StopReleasesAWaitingPosterAndDestroysTheRest) {
  auto token = std::make_shared<int>(0);
  auto loop = std::make_unique<EventLoop>(EventLoop::Options{.queue_max = 1});
  std::promise<void> started, release;
  loop->Post([&] {
    started.set_value();
    release.get_future().wait();
  });
  started.get_future().wait();
  loop->Post([token] {});
  std::promise<bool> accepted;
  std::thread poster([&] { accepted.set_value(loop->Post([token] {})); });
  std::thread stopper([&] { loop->Stop(); });
  // Stop drops the queue before it waits, so the poster is free while the task still runs.
  EXPECT_FALSE(accepted.get_future().get());
  release.set_value();
  poster.join();
  stopper.join();
  EXPECT_FALSE(loop->Post([token] {}));
  EXPECT_EQ(token.use_count(), 1);
}

TEST(EventLoopTest, StopsFromItsOwnThread) {
  EventLoop loop;
  loop.Post([&] { loop.Stop(); });
  loop.Sync();
  EXPECT_FALSE(loop.Post([] {}));
}

}  // namespace
}  // namespace sluice
