#include "common/net/grpc_link.h"

#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "common/clock.h"
#include "common/net/test_node.h"

namespace sluice::internal {
namespace {

using namespace std::chrono_literals;

TEST(LinkCoreTest, IsFreedThoughItsLoopEndsBeforeItHearsOfACallsEnd) {
  FullListener nobody;
  TestHandler handler;
  auto core = std::make_shared<LinkCore>(GrpcTransportOptions{}, &handler);
  const std::weak_ptr<LinkCore> watched = core;
  core->Start("127.0.0.1:1");
  core->Send(nobody.address(), Beat(1));
  // The loop, once it is being closed, comes to nothing more until it is stopped.
  std::promise<void> stopped;
  core->loop().RunAfter(500'000, [&stopped, loop = &core->loop()] {
    loop->PostNow([last = std::shared_ptr<void>(nullptr, [&](void*) { stopped.set_value(); })] {});
    stopped.get_future().wait_for(5s);
  });
  EXPECT_TRUE(core->Close(RealClock().MonotonicUs() + 4'000'000));
  core.reset();
  // gRPC's own thread may be about to let go of it.
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  while (!watched.expired() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace sluice::internal
