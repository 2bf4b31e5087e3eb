#include <chrono>
#include <utility>
#include <vector>

#include "common/net/grpc_link.h"

namespace sluice::internal {
namespace {

std::chrono::steady_clock::time_point ToSteady(MonotonicTime deadline) {
  return std::chrono::steady_clock::now() +
         std::chrono::microseconds(deadline - RealClock().MonotonicUs());
}

}  // namespace

LinkCore::LinkCore(const GrpcTransportOptions& options, Transport::Handler* handler)
    : options_(options), handler_(handler), loop_({.name = "net"}) {}

void LinkCore::Start(std::string address) {
  std::lock_guard lock(mutex_);
  address_ = std::move(address);
  changed_.notify_all();
}

const std::string& LinkCore::address() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !address_.empty(); });
  return address_;
}

std::shared_ptr<OutLink> LinkCore::LinkTo(const std::string& address) {
  std::lock_guard lock(mutex_);
  if (closing_) return nullptr;
  std::shared_ptr<OutLink>& link = links_[address];
  if (link == nullptr) link = std::make_shared<OutLink>(this, address);
  return link;
}

void LinkCore::Send(const std::string& to, proto::Envelope message) {
  std::shared_ptr<OutLink> link;
  do {
    link = LinkTo(to);
  } while (link != nullptr && !link->Send(std::move(message)));
}

void LinkCore::Probe(const std::string& from) {
  std::shared_ptr<OutLink> link;
  do {
    link = LinkTo(from);
  } while (link != nullptr && !link->Open());
}

void LinkCore::Forget(const std::string& address) {
  std::lock_guard lock(mutex_);
  const auto found = links_.find(address);
  if (found != links_.end() && found->second->Retire()) links_.erase(found);
}

size_t LinkCore::links() {
  std::lock_guard lock(mutex_);
  return links_.size();
}

bool LinkCore::Claim(const std::string& address, const std::string& job) {
  std::lock_guard lock(mutex_);
  if (!job.empty() && address == address_) return false;
  auto [at, first] = peers_.try_emplace(address, Peer{job});
  Peer& peer = at->second;
  if (peer.job != job) {
    // A daemon is believed before a job's process. Of two jobs the first is, while it is there.
    if (!job.empty() && (peer.job.empty() || peer.links > 0)) return false;
    peer = Peer{job};
  }
  ++peer.links;
  peer.doubted = false;
  return true;
}

void LinkCore::EndClaim(const std::string& address, const std::string& job) {
  std::lock_guard lock(mutex_);
  auto found = peers_.find(address);
  if (found == peers_.end() || found->second.job != job || found->second.links == 0) return;
  --found->second.links;
}

void LinkCore::Introduce(const std::string& address, const std::string& job) {
  std::lock_guard lock(mutex_);
  Peer& peer = peers_[address];
  if (peer.links == 0 && peer.job != job) peer = Peer{job};
}

void LinkCore::ProvedDaemon(const std::string& address) {
  std::lock_guard lock(mutex_);
  Peer& peer = peers_[address];
  if (!peer.job.empty()) peer = Peer{};
}

void LinkCore::Missed(const std::string& address, bool refused) {
  std::lock_guard lock(mutex_);
  auto found = peers_.find(address);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  // Without TLS a job's process would be handed the token of the cluster.
  const bool may_try = refused || peer.job.empty() || options_.security.tls();
  if (peer.links == 0 && may_try) {
    peers_.erase(found);
  } else if (may_try) {
    peer.doubted = !peer.doubted;
  }
}

std::string LinkCore::JobOf(const std::string& address) {
  std::lock_guard lock(mutex_);
  auto found = peers_.find(address);
  return found == peers_.end() || found->second.doubted ? "" : found->second.job;
}

void LinkCore::OnMessage(const std::string& from, proto::Envelope message) {
  std::shared_lock gate(gate_);
  if (handler_ != nullptr) handler_->OnMessage(from, std::move(message));
}

void LinkCore::OnPeerDown(const std::string& address, bool refused) {
  Missed(address, refused);
  std::shared_lock gate(gate_);
  if (handler_ != nullptr) handler_->OnPeerDown(address, refused);
}

void LinkCore::OnPeerDenied(const std::string& address, const std::string& why) {
  std::shared_lock gate(gate_);
  if (handler_ != nullptr) handler_->OnPeerDenied(address, why);
}

void LinkCore::OnLinkReset(const std::string& address) {
  std::shared_lock gate(gate_);
  if (handler_ != nullptr) handler_->OnLinkReset(address);
}

void LinkCore::AttemptBegan() {
  std::lock_guard lock(mutex_);
  ++attempts_;
}

void LinkCore::AttemptEnded() {
  std::lock_guard lock(mutex_);
  --attempts_;
  changed_.notify_all();
}

bool LinkCore::AwaitNoAttempts(MonotonicTime deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, ToSteady(deadline), [this] { return attempts_ == 0; });
}

bool LinkCore::Close(MonotonicTime deadline) {
  std::map<std::string, std::shared_ptr<OutLink>> links;
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
    links = links_;
  }
  loop_.Sync();  // what was sent before has its attempt
  for (auto& [address, link] : links) link->Close(/*by_force=*/false);
  const MonotonicTime now = RealClock().MonotonicUs();
  bool done = AwaitNoAttempts(now + (deadline - now) / 2);
  for (auto& [address, link] : links) link->Close(/*by_force=*/true);
  if (!done) done = AwaitNoAttempts(deadline);
  if (gate_.try_lock_until(ToSteady(deadline + 100'000))) {
    handler_ = nullptr;
    gate_.unlock();
  } else {
    done = false;
  }
  loop_.Stop();
  for (auto& [address, link] : links) link->Close(/*by_force=*/true);  // what began meanwhile
  // An attempt and its link keep each other, and this core. One that gRPC has not ended stays, with
  // both: it cannot be destroyed inside the call that will end it.
  if (!AwaitNoAttempts(deadline)) return false;
  for (auto& [address, link] : links) link->Bury();
  return done;
}

}  // namespace sluice::internal
