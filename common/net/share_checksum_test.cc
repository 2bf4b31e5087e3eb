// Shares that are damaged between two hosts.
#include "common/net/share_checksum.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "common/net/test_node.h"

namespace sluice {
namespace {

const std::string kBatch = "these are the bytes of a batch of records";

proto::Envelope Bundle() {
  proto::Envelope message;
  proto::ShareBundle& bundle = *message.mutable_share_bundle();
  bundle.mutable_generation()->set_epoch(1);
  bundle.mutable_generation()->set_number(2);
  bundle.set_job_instance(3);
  bundle.set_batch_ms(4);
  bundle.set_stage(5);
  bundle.set_from_executor(6);
  for (uint32_t task = 0; task < 2; ++task) {
    auto& share = *bundle.add_shares();
    share.set_edge(1);
    share.set_task(task);
    share.set_partition(7);
    share.set_records(8);
    share.set_batch(kBatch);
  }
  bundle.set_last_chunk(true);
  bundle.set_took_us(9);
  bundle.add_copied()->set_executor(10);
  bundle.mutable_copy()->set_owner(11);
  bundle.mutable_copy_result()->set_digest(12);
  return message;
}

TEST(ShareChecksumTest, EveryFlippedBitThatDecodesToOtherSharesIsFound) {
  proto::Envelope sealed = Bundle();
  SealShares(&sealed);
  EXPECT_TRUE(SharesAreWhole(sealed));
  const std::string bytes = sealed.SerializeAsString();
  int decoded = 0;
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] ^= static_cast<char>(1 << bit % 8);
    proto::Envelope message;
    if (!message.ParseFromString(damaged) || !message.has_share_bundle()) continue;
    // A field that nobody knows changes nothing; one that was lost to it does.
    message.DiscardUnknownFields();
    if (google::protobuf::util::MessageDifferencer::Equals(message, sealed)) continue;
    ++decoded;
    EXPECT_FALSE(SharesAreWhole(message)) << bit << ": " << message.ShortDebugString();
  }
  EXPECT_GT(decoded, 500);
}

TEST(ShareChecksumTest, OtherMessagesCarryNone) {
  proto::Envelope beat = Beat(1);
  SealShares(&beat);
  EXPECT_EQ(beat.SerializeAsString(), Beat(1).SerializeAsString());
  EXPECT_TRUE(SharesAreWhole(beat));
}

// Passes the bytes of one connection after another on to `port`; in the first one that holds
// kBatch, one bit of it is flipped.
class FlippingProxy {
 public:
  explicit FlippingProxy(int port) : port_(port), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~FlippingProxy() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    close(listener_);
  }
  const std::string& address() const { return address_; }
  int flips() const { return flips_; }

 private:
  static sockaddr_in Loopback(int port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    return address;
  }

  void Accept() {
    std::vector<std::thread> pumps;
    std::vector<int> sockets;
    for (int in; (in = accept(listener_, nullptr, nullptr)) >= 0;) {
      const int out = socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in address = Loopback(port_);
      EXPECT_EQ(connect(out, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
      sockets.insert(sockets.end(), {in, out});
      pumps.emplace_back([this, in, out] { Pump(in, out, true); });
      pumps.emplace_back([this, in, out] { Pump(out, in, false); });
    }
    for (int fd : sockets) shutdown(fd, SHUT_RDWR);
    for (std::thread& pump : pumps) pump.join();
    for (int fd : sockets) close(fd);
  }

  void Pump(int from, int to, bool flips) {
    std::string bytes(1 << 16, 0);
    for (ssize_t got; (got = read(from, bytes.data(), bytes.size())) > 0;) {
      const size_t found = std::string_view(bytes.data(), got).find(kBatch);
      if (flips && flips_ == 0 && found != std::string::npos) {
        bytes[found + 5] ^= 4;
        ++flips_;
      }
      if (send(to, bytes.data(), got, MSG_NOSIGNAL) != got) break;
    }
    shutdown(to, SHUT_WR);
  }

  const int port_;
  const int listener_;
  std::string address_;
  std::atomic<int> flips_ = 0;
  std::thread acceptor_;
};

TEST(ShareChecksumTest, DamagedSharesBreakTheirLinkAndArriveWhenTheyAreSentAgain) {
  TestNode a, b;
  FlippingProxy proxy(std::stoi(b.address().substr(b.address().rfind(':') + 1)));
  a.transport->Send(proxy.address(), Bundle());
  const std::string seen = a.Await(1)[0];
  EXPECT_TRUE(seen == proxy.address() + " reset" || seen == proxy.address() + " broken") << seen;
  EXPECT_EQ(proxy.flips(), 1);
  a.transport->Send(proxy.address(), Bundle());
  const auto kind = static_cast<int>(Bundle().message_case());
  EXPECT_EQ(b.Await(1)[0], a.address() + " kind " + std::to_string(kind));
}

}  // namespace
}  // namespace sluice
