// For tests of the transport: a process's network side, and all that it was told, as text.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/net/grpc_transport.h"

namespace sluice {

inline proto::Envelope Beat(uint32_t executor) {
  proto::Envelope message;
  message.mutable_executor_beat()->set_executor(executor);
  return message;
}

class TestHandler : public Transport::Handler {
 public:
  void OnMessage(const std::string& from, proto::Envelope message) override {
    if (message.has_executor_beat()) {
      Note(from + " " + std::to_string(message.executor_beat().executor()));
    } else if (message.has_block_copy()) {
      Note(from + " copy " + std::to_string(message.block_copy().data().size()));
    } else {
      Note(from + " kind " + std::to_string(message.message_case()));
    }
  }
  void OnPeerDown(const std::string& address, bool refused) override {
    Note(address + (refused ? " refused" : " broken"));
  }
  void OnLinkReset(const std::string& address) override { Note(address + " reset"); }

  // What was seen when it was at least so much.
  std::vector<std::string> Await(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return seen_.size() >= count; });
    return seen_;
  }

 private:
  void Note(std::string line) {
    std::lock_guard lock(mutex_);
    seen_.push_back(std::move(line));
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> seen_;
};

struct TestNode : TestHandler {
  explicit TestNode(GrpcTransportOptions options = {}) {
    auto started = GrpcTransport::Start(std::move(options), this);
    EXPECT_TRUE(started.ok()) << started.status();
    transport = *std::move(started);
  }
  ~TestNode() override { transport.reset(); }
  const std::string& address() const { return transport->address(); }
  std::unique_ptr<GrpcTransport> transport;
};

// A socket that listens and whose queue of connections is full: the kernel drops new ones.
class FullListener {
 public:
  FullListener() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd_, generic, size), 0);
    EXPECT_EQ(listen(fd_, 0), 0);
    EXPECT_EQ(getsockname(fd_, generic, &size), 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    for (int& client : clients_) {
      client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      (void)connect(client, generic, size);
    }
  }
  ~FullListener() {
    for (int client : clients_) close(client);
    close(fd_);
  }
  const std::string& address() const { return address_; }

 private:
  int fd_;
  int clients_[4];
  std::string address_;
};

}  // namespace sluice
