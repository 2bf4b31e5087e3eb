#include "common/net/local_transport.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice {
namespace {

proto::Envelope Beat(uint32_t executor) {
  proto::Envelope message;
  message.mutable_executor_beat()->set_executor(executor);
  return message;
}

// A process of the test: a loop, an endpoint, and all that it was told, as text.
struct Node : Transport::Handler {
  Node(LocalHub& hub, const std::string& address) : transport(hub.Open(address, this, &loop)) {}
  void OnMessage(const std::string& from, proto::Envelope message) override {
    EXPECT_TRUE(loop.OnLoopThread());
    seen.push_back(from + " " + std::to_string(message.executor_beat().executor()));
  }
  void OnPeerDown(const std::string& address, bool refused) override {
    EXPECT_TRUE(loop.OnLoopThread());
    seen.push_back(address + (refused ? " refused" : " broken"));
  }
  const std::vector<std::string>& Seen() {
    loop.Sync();
    return seen;
  }
  std::vector<std::string> seen;
  EventLoop loop;
  std::unique_ptr<Transport> transport;
};

using Lines = std::vector<std::string>;

TEST(LocalTransportTest, DeliversInOrderOnTheReceiversLoop) {
  LocalHub hub;
  Node a(hub, "a"), b(hub, "b");
  for (uint32_t i = 0; i < 3; ++i) a.transport->Send("b", Beat(i));
  EXPECT_EQ(b.Seen(), (Lines{"a 0", "a 1", "a 2"}));
  b.transport->Send("a", Beat(7));
  EXPECT_EQ(a.Seen(), Lines{"b 7"});
}

TEST(LocalTransportTest, SendsToItself) {
  LocalHub hub;
  Node a(hub, "a");
  a.transport->Send("a", Beat(1));
  EXPECT_EQ(a.Seen(), Lines{"a 1"});
}

TEST(LocalTransportTest, MovesThePayload) {
  struct Keeper : Node {
    using Node::Node;
    void OnMessage(const std::string&, proto::Envelope message) override {
      data = message.block_copy().data().data();
    }
    const void* data = nullptr;
  };
  LocalHub hub;
  Keeper a(hub, "a"), b(hub, "b");
  proto::Envelope message;
  message.mutable_block_copy()->set_data(std::string(1 << 20, 'x'));
  const void* before = message.block_copy().data().data();
  a.transport->Send("b", std::move(message));
  b.loop.Sync();
  EXPECT_EQ(b.data, before);
}

TEST(LocalTransportTest, AnUnknownAddressRefuses) {
  LocalHub hub;
  Node a(hub, "a");
  a.transport->Send("nobody", Beat(1));
  EXPECT_EQ(a.Seen(), Lines{"nobody refused"});
}

TEST(LocalTransportTest, AnEndedPeerIsReportedOnceToEachThatKnewIt) {
  LocalHub hub;
  Node a(hub, "a"), c(hub, "c"), stranger(hub, "stranger");
  {
    Node b(hub, "b");
    a.transport->Send("b", Beat(1));
    b.transport->Send("c", Beat(2));
    b.loop.Sync();
  }
  EXPECT_EQ(a.Seen(), Lines{"b refused"});
  EXPECT_EQ(c.Seen(), (Lines{"b 2", "b refused"}));
  EXPECT_EQ(stranger.Seen(), Lines{});
}

TEST(LocalTransportTest, AnAddressCanBeTakenAgain) {
  LocalHub hub;
  Node a(hub, "a");
  EXPECT_EQ(hub.Open("a", &a, &a.loop), nullptr);
  { Node b(hub, "b"); }
  Node b(hub, "b");
  a.transport->Send("b", Beat(5));
  EXPECT_EQ(b.Seen(), Lines{"a 5"});
}

TEST(LocalTransportTest, NothingIsDeliveredAfterTheEnd) {
  LocalHub hub;
  Node a(hub, "a"), b(hub, "b");
  b.loop.Post([&] { b.transport.reset(); });
  b.loop.Sync();
  a.transport->Send("b", Beat(1));
  EXPECT_EQ(a.Seen(), Lines{"b refused"});
  EXPECT_EQ(b.Seen(), Lines{});
}

}  // namespace
}  // namespace sluice
