#include "common/net/acceptor.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include <glog/logging.h>

#include "common/net/keepalive.h"
#include "common/status.h"

namespace sluice {
namespace {

constexpr int kPauseMs = 100;

std::string Unbracketed(const std::string& host) {
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return bracketed ? host.substr(1, host.size() - 2) : host;
}

int PortOf(int listener) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

void SetPort(sockaddr* address, int port) {
  const auto number = htons(static_cast<uint16_t>(port));
  if (address->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = number;
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = number;
  }
}

// A socket that listens there, or -1 with errno. Connections inherit its options.
int ListenAt(const addrinfo& at) {
  const int fd = socket(at.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1, user_timeout_ms = kKeepaliveTimeoutMs;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
  if (bind(fd, at.ai_addr, at.ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Listen(const std::string& host, int port) {
  std::unique_ptr<Acceptor> acceptor(new Acceptor);
  RETURN_IF_ERROR(acceptor->Bind(host, port));
  return acceptor;
}

absl::Status Acceptor::Bind(const std::string& host, int port) {
  const std::string where = host + ":" + std::to_string(port);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(Unbracketed(host).c_str(), std::to_string(port).c_str(), &hints,
                                 &found);
  if (failed == EAI_SYSTEM) return absl::ErrnoToStatus(errno, where);
  if (failed == EAI_AGAIN || failed == EAI_MEMORY) {
    return absl::UnavailableError("cannot look up " + where + ": " + gai_strerror(failed));
  }
  if (failed != 0) {
    return absl::InvalidArgumentError("no such host to listen on: " + where + ": " +
                                      gai_strerror(failed));
  }
  port_ = port;
  int error = 0;
  for (addrinfo* at = found; at != nullptr; at = at->ai_next) {
    SetPort(at->ai_addr, port_);
    const int fd = ListenAt(*at);
    if (fd < 0) {
      if (error != EADDRINUSE) error = errno;
      continue;
    }
    listeners_.push_back(fd);
    port_ = PortOf(fd);
  }
  freeaddrinfo(found);
  if (error == EADDRINUSE && (port != 0 || listeners_.empty())) {
    return absl::AlreadyExistsError("port in use: " + where);
  }
  if (!listeners_.empty()) stop_ = eventfd(0, EFD_CLOEXEC);
  if (stop_ >= 0) return absl::OkStatus();
  if (error == 0) error = errno;
  const absl::Status status = absl::ErrnoToStatus(error, "cannot listen on " + where);
  if (absl::IsResourceExhausted(status)) return status;
  return absl::InvalidArgumentError(std::string(status.message()));
}

Acceptor::~Acceptor() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    while (write(stop_, &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread_.join();
  }
  for (const int listener : listeners_) close(listener);
  if (stop_ >= 0) close(stop_);
}

void Acceptor::Start(Take take) {
  take_ = std::move(take);
  thread_ = std::thread([this] { Run(); });
}

void Acceptor::Run() {
  bool starved = false;
  while (Wait(starved)) {
    starved = false;
    for (const int listener : listeners_) starved |= !AcceptAll(listener);
    if (starved != starved_) {
      LOG_IF(ERROR, starved) << "no descriptor or memory left, whoever connects waits: port="
                             << port_;
      LOG_IF(WARNING, !starved) << "there are descriptors again: port=" << port_;
    }
    starved_ = starved;
  }
}

bool Acceptor::AcceptAll(int listener) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      take_(listener, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return false;
    } else if (errno == EAGAIN) {
      return true;
    }  // anything else is about one connection, which is gone
  }
}

bool Acceptor::Wait(bool pause) {
  std::vector<pollfd> fds = {{stop_, POLLIN, 0}};
  if (!pause) {
    for (const int listener : listeners_) fds.push_back({listener, POLLIN, 0});
  }
  // Nothing tells when a descriptor is free again.
  while (poll(fds.data(), fds.size(), pause ? kPauseMs : -1) < 0 && errno == EINTR) {
  }
  return (fds[0].revents & POLLIN) == 0;
}

}  // namespace sluice
