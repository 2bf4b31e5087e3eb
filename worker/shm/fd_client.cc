#include "worker/shm/fd_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>

#include "worker/shm/fd_protocol.h"
#include "worker/shm/fd_socket.h"

namespace sluice {
namespace {

using internal::FdCall;
using internal::FdReply;
using internal::FdRequest;
using internal::FdStatus;

absl::Status Ask(int socket, const FdRequest& request, FdReply* reply, UniqueFd* fd) {
  if (!internal::SendPacket(socket, &request, sizeof(request), -1, /*wait=*/true) ||
      !internal::ReceivePacket(socket, reply, sizeof(*reply), fd) ||
      reply->magic != internal::kFdMagic) {
    return absl::UnavailableError("the worker daemon does not answer on its unix socket");
  }
  switch (reply->status) {
    case FdStatus::kOk: break;
    case FdStatus::kNotFound: return absl::NotFoundError("no such block on this node");
    case FdStatus::kElsewhere: return absl::FailedPreconditionError("the block is not in memory");
    default: return absl::PermissionDeniedError("the worker daemon refused a descriptor");
  }
  if ((reply->has_fd != 0) != fd->ok() || (fd->ok() && !HasSizeSeals(fd->get()))) {
    return absl::InternalError("the worker daemon sent no usable descriptor");
  }
  return absl::OkStatus();
}

}  // namespace

MappedBlock::~MappedBlock() {
  if (client_ != nullptr) client_->Unpin(key_);
}

absl::StatusOr<std::unique_ptr<FdClient>> FdClient::Connect(const std::string& path) {
  sockaddr_un address{};
  UniqueFd directory;
  if (!internal::FillAddress(path, &address, &directory)) {
    return absl::InvalidArgumentError("no unix socket can be at " + path);
  }
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket.ok()) return absl::ErrnoToStatus(errno, "cannot make a unix socket");
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::ErrnoToStatus(errno, "cannot reach the worker daemon at " + path);
  }
  return std::unique_ptr<FdClient>(new FdClient(std::move(socket)));
}

absl::StatusOr<MappedBlock> FdClient::MapBlock(const BlockKey& key) {
  std::lock_guard lock(mutex_);
  FdRequest request;
  request.call = FdCall::kMap;
  request.block = key;
  FdReply reply;
  UniqueFd fd;
  if (auto asked = Ask(socket_.get(), request, &reply, &fd); !asked.ok()) return asked;
  MappedBlock block(nullptr, key);
  auto mapping = MappingOf(reply, fd, &block);
  if (mapping.ok() && (reply.length > (*mapping)->bytes() ||
                       reply.offset > (*mapping)->bytes() - reply.length)) {
    mapping = absl::InternalError("the worker daemon named bytes outside of its segment");
  }
  if (!mapping.ok()) {
    UnpinLocked(key);
    return mapping.status();
  }
  block.bytes_ = {(*mapping)->data() + reply.offset, reply.length};
  block.crc32c_ = reply.crc32c;
  block.client_ = this;
  return block;
}

absl::StatusOr<const Mapping*> FdClient::MappingOf(const internal::FdReply& reply,
                                                   const UniqueFd& fd, MappedBlock* block) {
  if (!fd.ok()) {
    auto found = segments_.find(reply.segment);
    if (found == segments_.end()) return absl::InternalError("a segment was never sent");
    return &found->second;
  }
  auto mapped = Mapping::Map(fd.get(), reply.segment_bytes, /*writable=*/false);
  if (!mapped.ok()) return mapped.status();
  Mapping& home = reply.dedicated != 0 ? block->own_ : segments_[reply.segment];
  home = std::move(*mapped);
  return &home;
}

void FdClient::Unpin(const BlockKey& key) {
  std::lock_guard lock(mutex_);
  UnpinLocked(key);
}

void FdClient::UnpinLocked(const BlockKey& key) {
  FdRequest request;
  request.call = FdCall::kUnpin;
  request.block = key;
  internal::SendPacket(socket_.get(), &request, sizeof(request), -1, /*wait=*/true);
}

absl::StatusOr<ArenaWriter> FdClient::AttachArena() {
  std::lock_guard lock(mutex_);
  FdRequest request;
  request.call = FdCall::kArena;
  FdReply reply;
  UniqueFd fd;
  if (auto asked = Ask(socket_.get(), request, &reply, &fd); !asked.ok()) return asked;
  return ArenaWriter::Attach(std::move(fd), reply.shape);
}

absl::StatusOr<TaskBoard> FdClient::AttachBoard() {
  std::lock_guard lock(mutex_);
  FdRequest request;
  request.call = FdCall::kBoard;
  FdReply reply;
  UniqueFd fd;
  if (auto asked = Ask(socket_.get(), request, &reply, &fd); !asked.ok()) return asked;
  return TaskBoard::Attach(std::move(fd));
}

uint64_t FdClient::segments_mapped() const {
  std::lock_guard lock(mutex_);
  return segments_.size();
}

}  // namespace sluice
