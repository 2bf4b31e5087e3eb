#include "worker/shm/fd_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "glog/logging.h"
#include "worker/shm/fd_protocol.h"
#include "worker/shm/fd_socket.h"
#include "worker/shm/mapping.h"

namespace sluice {
namespace {

using internal::FdCall;
using internal::FdReply;
using internal::FdRequest;
using internal::FdStatus;

constexpr int kRestMs = 100;  // after an accept that failed

struct Connection {
  UniqueFd fd;
  FdSource::Executor executor;
  std::set<uint32_t> sent_segments;
  std::unordered_map<BlockKey, uint32_t, BlockKeyHash> pins;
  size_t pin_count = 0;
};

class Server : public FdServer {
 public:
  Server(std::string path, FdSource* source, UniqueFd listener, UniqueFd wake)
      : path_(std::move(path)),
        source_(source),
        listener_(std::move(listener)),
        wake_(std::move(wake)),
        thread_([this] { Loop(); }) {}

  ~Server() override {
    const uint64_t one = 1;
    [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof(one));
    thread_.join();
    ::unlink(path_.c_str());
  }

 private:
  void Loop() {
    std::vector<pollfd> polled;
    while (true) {
      polled.clear();
      polled.push_back({wake_.get(), POLLIN, 0});
      // Without descriptors nobody can be taken in, and a listener that is asked says at once that
      // somebody waits.
      polled.push_back({full_ ? -1 : listener_.get(), POLLIN, 0});
      for (const auto& [fd, connection] : connections_) polled.push_back({fd, POLLIN, 0});
      const int timeout = full_ ? kRestMs : -1;
      if (::poll(polled.data(), polled.size(), timeout) < 0 && errno != EINTR) break;
      if (polled[0].revents != 0) break;
      if (full_) Accept();
      for (size_t i = 2; i < polled.size(); ++i) {
        if (polled[i].revents != 0 && !Serve(connections_.at(polled[i].fd))) Drop(polled[i].fd);
      }
      if (polled[1].revents != 0) Accept();
    }
    while (!connections_.empty()) Drop(connections_.begin()->first);
  }

  void Accept() {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    full_ = !fd.ok() && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                         errno == ENOMEM);
    if (full_ && !std::exchange(said_full_, true)) {
      LOG(ERROR) << "no executor can connect: " << std::strerror(errno);
    }
    if (fd.ok()) said_full_ = false;
    if (!fd.ok() || connections_.size() >= kConnectionsMax) return;
    ucred peer{};
    socklen_t length = sizeof(peer);
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return;
    if (peer.uid != ::geteuid()) return;
    auto executor = source_->Identify(peer.pid);
    if (!executor.has_value()) return;
    const int number = fd.get();
    Connection& connection = connections_[number];
    connection.fd = std::move(fd);
    connection.executor = *executor;
  }

  // False: the connection is over.
  bool Serve(Connection& connection) {
    FdRequest request;
    const ssize_t n = ::recv(connection.fd.get(), &request, sizeof(request),
                             MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n != static_cast<ssize_t>(sizeof(request)) || request.magic != internal::kFdMagic) {
      return false;
    }
    FdReply reply;
    switch (request.call) {
      case FdCall::kUnpin: return Unpin(connection, request.block);
      case FdCall::kMap: return Map(connection, request.block, reply);
      case FdCall::kArena:
        reply.shape = connection.executor.arena_shape;
        return SendOwn(connection, connection.executor.arena_fd, reply);
      case FdCall::kBoard: return SendOwn(connection, connection.executor.board_fd, reply);
    }
    return false;
  }

  bool SendOwn(Connection& connection, int fd, FdReply& reply) {
    if (fd < 0) {
      reply.status = FdStatus::kRefused;
    } else {
      reply.has_fd = 1;
    }
    return internal::SendPacket(connection.fd.get(), &reply, sizeof(reply), fd);
  }

  bool Map(Connection& connection, const BlockKey& key, FdReply& reply) {
    MappableBlock block;
    int fd = -1;
    if (key.job_instance != connection.executor.job_instance ||
        connection.pin_count >= kPinsMax) {
      reply.status = FdStatus::kRefused;
      return internal::SendPacket(connection.fd.get(), &reply, sizeof(reply), fd);
    }
    const FdSource::Found found = source_->Pin(key, &block);
    if (found == FdSource::Found::kMapped) {
      ++connection.pins[key];
      ++connection.pin_count;
      reply.segment = block.extent.segment;
      reply.dedicated = block.segment.dedicated ? 1 : 0;
      reply.segment_bytes = block.segment.bytes;
      reply.offset = block.extent.offset;
      reply.length = block.extent.length;
      reply.crc32c = block.crc32c;
      // A dedicated segment goes with its block, so its number is not remembered.
      if (block.segment.dedicated || connection.sent_segments.insert(reply.segment).second) {
        fd = block.segment.fd;
        reply.has_fd = 1;
      }
    } else {
      reply.status = found == FdSource::Found::kElsewhere ? FdStatus::kElsewhere
                                                          : FdStatus::kNotFound;
    }
    return internal::SendPacket(connection.fd.get(), &reply, sizeof(reply), fd);
  }

  bool Unpin(Connection& connection, const BlockKey& key) {
    auto pin = connection.pins.find(key);
    if (pin == connection.pins.end()) return false;
    if (--pin->second == 0) connection.pins.erase(pin);
    --connection.pin_count;
    source_->Unpin(key);
    return true;
  }

  void Drop(int fd) {
    auto found = connections_.find(fd);
    for (const auto& [key, count] : found->second.pins) {
      for (uint32_t i = 0; i < count; ++i) source_->Unpin(key);
    }
    connections_.erase(found);
  }

  const std::string path_;
  FdSource* const source_;
  UniqueFd listener_;
  UniqueFd wake_;
  std::map<int, Connection> connections_;
  bool full_ = false;       // whoever waits was not taken in: there are no descriptors
  bool said_full_ = false;  // and that was said
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<FdServer>> FdServer::Start(const std::string& path,
                                                          FdSource* source) {
  sockaddr_un address{};
  UniqueFd directory;
  if (!internal::FillAddress(path, &address, &directory)) {
    return absl::InvalidArgumentError("no unix socket can be at " + path);
  }
  UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.ok()) return absl::ErrnoToStatus(errno, "cannot make a unix socket");
  ::unlink(path.c_str());
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(listener.get(), 64) != 0) {
    return absl::ErrnoToStatus(errno, "cannot listen at " + path);
  }
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC));
  if (!wake.ok()) return absl::ErrnoToStatus(errno, "cannot make an event descriptor");
  return std::make_unique<Server>(path, source, std::move(listener), std::move(wake));
}

}  // namespace sluice
