// The bytes of a TCP server, for a framer. An end of stream, an error, or a server that is not
// there (any more) is no failure: it connects again.
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "driver/api/framing.h"

namespace sluice::internal {
namespace {

constexpr int kPollMs = 50;
constexpr int64_t kBackoffMinMs = 100;
constexpr int64_t kBackoffMaxMs = 5000;
constexpr size_t kReadSize = 256 << 10;
// The kernel asks a silent server whether it is still there, and breaks the connection without an
// answer, within half a minute: a receiver sends nothing that would show it.
constexpr int kSilentS = 10;
constexpr int kAskEveryS = 5;
constexpr int kAskTimes = 4;

class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_;
};

void KeepAlive(const Socket& socket) {
  const auto set = [&](int level, int name, int value) {
    setsockopt(socket.fd(), level, name, &value, sizeof(value));
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kSilentS);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kAskEveryS);
  set(IPPROTO_TCP, TCP_KEEPCNT, kAskTimes);
}

// Waits for `events` on the socket; false when the receiver is to stop or the time is over.
bool Await(const Socket& socket, short events, ReceiverSink& sink, int64_t timeout_ms) {
  for (int64_t waited = 0; !sink.stopping() && waited < timeout_ms; waited += kPollMs) {
    pollfd poll_fd{socket.fd(), events, 0};
    const int ready = poll(&poll_fd, 1, kPollMs);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
  return false;
}

class SocketReceiver final : public ReceiverBody {
 public:
  SocketReceiver(std::string host, int port, FramerFactory framers)
      : host_(std::move(host)), port_(port), framers_(std::move(framers)) {}

  void Run(ReceiverSink& sink) override {
    int64_t backoff_ms = kBackoffMinMs;
    while (!sink.stopping()) {
      const Socket socket = Connect(sink);
      if (socket.open() && ReadAll(socket, sink)) backoff_ms = kBackoffMinMs;
      if (sink.stopping()) return;
      sink.ReportError(error_ + "; will connect again in " + std::to_string(backoff_ms) + " ms");
      if (sink.WaitStopping(backoff_ms)) return;
      backoff_ms = std::min(backoff_ms * 2, kBackoffMaxMs);
    }
  }

 private:
  std::string Address() const { return host_ + ":" + std::to_string(port_); }

  Socket Connect(ReceiverSink& sink) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int rc = getaddrinfo(host_.c_str(), std::to_string(port_).c_str(), &hints, &found);
    if (rc != 0) {
      error_ = "cannot resolve " + Address() + ": " + gai_strerror(rc);
      return Socket();
    }
    Socket connected;
    for (const addrinfo* a = found; a != nullptr && !connected.open(); a = a->ai_next) {
      connected = ConnectTo(*a, sink);
    }
    freeaddrinfo(found);
    return connected;
  }

  Socket ConnectTo(const addrinfo& address, ReceiverSink& sink) {
    Socket socket(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                           address.ai_protocol));
    if (!socket.open()) return Failed("cannot open a socket for ", errno);
    KeepAlive(socket);
    if (connect(socket.fd(), address.ai_addr, address.ai_addrlen) == 0) return socket;
    if (errno != EINPROGRESS) return Failed("cannot connect to ", errno);
    if (!Await(socket, POLLOUT, sink, 10'000)) return Failed("cannot connect to ", ETIMEDOUT);
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Failed("cannot connect to ", error);
    return socket;
  }

  Socket Failed(std::string_view what, int error) {
    error_ = std::string(what) + Address() + ": " + std::strerror(error);
    return Socket();
  }

  // Until the stream ends or its framer has enough; true when something came and was good.
  bool ReadAll(const Socket& socket, ReceiverSink& sink) {
    const std::unique_ptr<Framer> framer = framers_();
    bool any = false;
    std::string buffer(kReadSize, '\0');
    while (true) {
      if (!Await(socket, POLLIN, sink, INT64_MAX)) return any;
      const ssize_t n = recv(socket.fd(), buffer.data(), buffer.size(), 0);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (n <= 0) {
        error_ = Address() + (n == 0 ? " closed the stream" : std::string(": ") + strerror(errno));
        framer->End(n == 0, sink, error_);
        return any;
      }
      std::string error;
      if (!framer->Feed({buffer.data(), static_cast<size_t>(n)}, sink, error)) {
        error_ = Address() + ": " + error;
        return any;
      }
      any = true;
    }
  }

  const std::string host_;
  const int port_;
  const FramerFactory framers_;
  std::string error_;
};

class SocketReceiverFactory final : public ReceiverFactory {
 public:
  SocketReceiverFactory(std::string host, int port, FramerFactory framers)
      : host_(std::move(host)), port_(port), framers_(std::move(framers)) {}
  std::unique_ptr<ReceiverBody> New() const override {
    return std::make_unique<SocketReceiver>(host_, port_, framers_);
  }

 private:
  const std::string host_;
  const int port_;
  const FramerFactory framers_;
};

}  // namespace

std::shared_ptr<const ReceiverFactory> MakeSocketReceiver(std::string host, int port,
                                                          FramerFactory framers) {
  return std::make_shared<SocketReceiverFactory>(std::move(host), port, std::move(framers));
}

}  // namespace sluice::internal
