#include "common/net/grpc_transport.h"

#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/clock.h"
#include "common/event_loop.h"
#include "common/net/test_node.h"

extern char** environ;

namespace sluice {
namespace {

using testing::AnyOf;
using testing::ElementsAre;

// link_peer as a child: prints its address, then answers every beat until it is killed.
class Peer {
 public:
  Peer() {
    int fds[2];
    EXPECT_EQ(pipe(fds), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    std::string path = std::string(getenv("TEST_SRCDIR")) + "/sluice/common/net/link_peer";
    char* argv[] = {path.data(), nullptr};
    EXPECT_EQ(posix_spawn(&pid_, path.c_str(), &actions, nullptr, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    char c;
    while (read(fds[0], &c, 1) == 1 && c != '\n') address_ += c;
    close(fds[0]);
  }
  ~Peer() { Kill(); }
  // From now on it cannot open anything; or it can again.
  void TakeDescriptors() {
    ASSERT_EQ(prlimit(pid_, RLIMIT_NOFILE, nullptr, &limit_), 0);
    rlim_t free = 0;
    while (access(("/proc/" + std::to_string(pid_) + "/fd/" + std::to_string(free)).c_str(),
                  F_OK) == 0) {
      ++free;
    }
    const rlimit none = {free, limit_.rlim_max};
    ASSERT_EQ(prlimit(pid_, RLIMIT_NOFILE, &none, nullptr), 0);
  }
  void GiveDescriptors() { ASSERT_EQ(prlimit(pid_, RLIMIT_NOFILE, &limit_, nullptr), 0); }

  void Kill() {
    if (pid_ == 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  void Signal(int signal) { kill(pid_, signal); }
  const std::string& address() const { return address_; }

 private:
  pid_t pid_ = 0;
  rlimit limit_ = {};
  std::string address_;
};

TEST(GrpcTransportTest, DeliversInOrderBothWays) {
  TestNode a, b;
  for (uint32_t i = 0; i < 100; ++i) a.transport->Send(b.address(), Beat(i));
  const std::vector<std::string> seen = b.Await(100);
  for (uint32_t i = 0; i < 100; ++i) EXPECT_EQ(seen[i], a.address() + " " + std::to_string(i));
  b.transport->Send(a.address(), Beat(7));
  EXPECT_THAT(a.Await(1), ElementsAre(b.address() + " 7"));
}

TEST(GrpcTransportTest, PassesALargeRecord) {
  TestNode a, b;
  proto::Envelope message;
  message.mutable_block_copy()->set_data(std::string(64 << 20, 'x'));
  message.mutable_block_copy()->set_last(true);
  a.transport->Send(b.address(), std::move(message));
  EXPECT_THAT(b.Await(1), ElementsAre(a.address() + " copy " + std::to_string(64 << 20)));
}

TEST(GrpcTransportTest, AMessageThatNoPeerTakesDoesNotBreakTheLink) {
  TestNode a, b;
  proto::Envelope message;
  message.mutable_block_copy()->set_data(std::string(81 << 20, 'x'));
  a.transport->Send(b.address(), std::move(message));
  a.transport->Send(b.address(), Beat(1));
  EXPECT_THAT(b.Await(1), ElementsAre(a.address() + " 1"));
}

TEST(GrpcTransportTest, BytesThatAreNoUtf8Arrive) {
  TestNode a, b;
  proto::Envelope message;
  message.mutable_executor_exited()->set_cause("caf\xe9");
  a.transport->Send(b.address(), message);
  EXPECT_THAT(b.Await(1),
              ElementsAre(a.address() + " kind " + std::to_string(message.message_case())));
}

TEST(GrpcTransportTest, ReportsARefusedConnectionAtOnce) {
  std::string gone;
  {
    TestNode b;
    gone = b.address();
  }
  TestNode a;
  a.transport->Send(gone, Beat(1));
  EXPECT_THAT(a.Await(1), ElementsAre(gone + " refused"));
}

TEST(GrpcTransportTest, ReportsAnUnreachablePeerWhenTheTimeIsOver) {
  // A listener whose backlog is full takes no more connections and refuses none.
  FullListener listener;
  TestNode a({.connect_us = 100'000});
  a.transport->Send(listener.address(), Beat(1));
  EXPECT_THAT(a.Await(1), ElementsAre(listener.address() + " broken"));
}

TEST(GrpcTransportTest, AGracefulEndIsSeenByThoseWhoOnlyReceived) {
  TestNode a;
  std::string b_address;
  {
    TestNode b;
    b_address = b.address();
    b.transport->Send(a.address(), Beat(1));
    EXPECT_THAT(a.Await(1), ElementsAre(b_address + " 1"));
  }
  // A try that comes while the peer is still ending finds a link that breaks.
  EXPECT_THAT(a.Await(2), ElementsAre(b_address + " 1", AnyOf(b_address + " refused",
                                                              b_address + " broken")));
}

TEST(GrpcTransportTest, ShutdownDeliversWhatWasSent) {
  TestNode b;
  std::string a_address;
  {
    TestNode a;
    a_address = a.address();
    for (uint32_t i = 0; i < 1000; ++i) a.transport->Send(b.address(), Beat(i));
    a.transport->Shutdown(10'000'000);
  }
  const std::vector<std::string> seen = b.Await(1001);
  EXPECT_EQ(seen[999], a_address + " 999");
  EXPECT_EQ(seen[1000], a_address + " refused");
}

TEST(GrpcTransportTest, AKilledPeerIsSeenQuickly) {
  TestNode a;
  Peer peer;
  a.transport->Send(peer.address(), Beat(3));
  EXPECT_THAT(a.Await(1), ElementsAre(peer.address() + " 3"));
  const MonotonicTime start = RealClock().MonotonicUs();
  peer.Kill();
  EXPECT_EQ(a.Await(2)[1], peer.address() + " refused");
  EXPECT_LT(RealClock().MonotonicUs() - start, 1'000'000);
}

TEST(GrpcTransportTest, AKilledPeerIsReportedAgainForEverySendAfterIt) {
  TestNode a;
  Peer peer;
  a.transport->Send(peer.address(), Beat(3));
  a.Await(1);
  peer.Kill();
  a.Await(2);
  a.transport->Send(peer.address(), Beat(4));
  EXPECT_EQ(a.Await(3)[2], peer.address() + " refused");
}

TEST(GrpcTransportTest, ShutdownDoesNotHangOnAStoppedPeer) {
  Peer peer;
  {
    TestNode a;
    a.transport->Send(peer.address(), Beat(3));
    a.Await(1);
    peer.Signal(SIGSTOP);
    for (uint32_t i = 0; i < 10; ++i) {
      proto::Envelope message;
      message.mutable_block_copy()->set_data(std::string(1 << 20, 'x'));
      a.transport->Send(peer.address(), std::move(message));
    }
    const MonotonicTime start = RealClock().MonotonicUs();
    a.transport->Shutdown(200'000);
    EXPECT_LT(RealClock().MonotonicUs() - start, 2'000'000);
  }
}

// It was given up after a tenth of a second: no link ever reached a host that is far, or busy.
TEST(GrpcTransportTest, APeerThatAnswersLateIsWaitedFor) {
  Peer peer;
  peer.Signal(SIGSTOP);
  EventLoop later;
  later.RunAfter(300'000, [&] { peer.Signal(SIGCONT); });
  TestNode a;
  a.transport->Send(peer.address(), Beat(2));
  EXPECT_THAT(a.Await(1), ElementsAre(peer.address() + " 2"));
  later.Stop();
}

TEST(GrpcTransportTest, APeerThatTakesNothingOverflowsAndIsDown) {
  Peer peer;
  TestNode a({.queued_bytes_max = 8 << 20});
  a.transport->Send(peer.address(), Beat(3));
  a.Await(1);
  peer.Signal(SIGSTOP);
  for (uint32_t i = 0; i < 30; ++i) {
    proto::Envelope message;
    message.mutable_block_copy()->set_data(std::string(1 << 20, 'x'));
    a.transport->Send(peer.address(), std::move(message));
  }
  std::string seen;
  size_t count = 1;
  do {  // it stops a moment after it was told to
    seen = a.Await(++count).back();
  } while (seen == peer.address() + " copy 1048576");
  EXPECT_EQ(seen, peer.address() + " broken");
  peer.Kill();
}

// Addresses of executors come and go as long as a job runs.
TEST(GrpcTransportTest, LinksToPeersThatAreGoneAreForgotten) {
  TestNode a;
  std::set<std::string> gone, heard;
  for (uint32_t i = 0; i < 10; ++i) {
    TestNode peer;
    a.transport->Send(peer.address(), Beat(i));
    peer.Await(1);
    EXPECT_GE(a.transport->links(), 1);
    gone.insert(peer.address());
  }
  // One that called back as it ended is looked for again, and heard of twice. Every link that is
  // left ends with a word of its own.
  for (size_t seen = 1; heard != gone || a.transport->links() != 0; ++seen) {
    const std::string last = a.Await(seen).at(seen - 1);  // "ADDRESS refused", or broken
    heard.insert(last.substr(0, last.find(' ')));
  }
}

TEST(GrpcTransportTest, APortInUseIsAnError) {
  TestNode a;
  const int port = std::stoi(a.address().substr(a.address().rfind(':') + 1));
  TestHandler handler;
  auto second = GrpcTransport::Start({.port = port}, &handler);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists) << second.status();
}

TEST(GrpcTransportTest, AHostThatIsNotOursIsAnError) {
  TestHandler handler;
  Security insecure;
  insecure.insecure = true;
  auto status =
      GrpcTransport::Start({.host = "203.0.113.7", .security = insecure}, &handler).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
}

TEST(GrpcTransportTest, AProcessThatHadNoDescriptorLeftAcceptsConnectionsAgain) {
  Peer peer;
  peer.TakeDescriptors();
  TestNode early({.connect_us = 300'000});
  early.transport->Send(peer.address(), Beat(1));
  EXPECT_THAT(early.Await(1), ElementsAre(peer.address() + " broken"));
  peer.GiveDescriptors();
  TestNode late;
  std::string seen;
  size_t count = 0;
  do {  // it may still rest
    late.transport->Send(peer.address(), Beat(2));
    seen = late.Await(++count).back();
  } while (seen == peer.address() + " broken");
  EXPECT_EQ(seen, peer.address() + " 2");
}

// It was taken for a host that is not there, for which nothing is started again.
TEST(GrpcTransportTest, ListeningWithoutADescriptorLeftIsNoUsageError) {
  TestHandler handler;
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none = {0, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::Status status = GrpcTransport::Start({.host = "127.0.0.1"}, &handler).status();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

TEST(GrpcTransportTest, ANameThatDoesNotResolveIsDownAndNotRefused) {
  TestNode a({.connect_us = 300'000});
  a.transport->Send("no-such-host.invalid:1", Beat(1));
  EXPECT_THAT(a.Await(1), ElementsAre("no-such-host.invalid:1 broken"));
}

TEST(GrpcTransportTest, AnOpenBindIsRefused) {
  TestHandler handler;
  auto status = GrpcTransport::Start({.host = "0.0.0.0"}, &handler).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
}

}  // namespace
}  // namespace sluice
