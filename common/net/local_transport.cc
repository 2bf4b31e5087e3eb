#include "common/net/local_transport.h"

#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace sluice {

// One side of the network. Lock order: call_mutex_ before mutex_; no lock is held over another
// endpoint's.
class LocalHub::Endpoint : public std::enable_shared_from_this<Endpoint> {
 public:
  Endpoint(Transport::Handler* handler, EventLoop* loop) : handler_(handler), loop_(loop) {}

  bool Deliver(const std::string& from, proto::Envelope message) {
    return Post([this, from, message = std::move(message)]() mutable {
      handler_->OnMessage(from, std::move(message));
    }, from);
  }
  void PeerDown(const std::string& address) {
    Post([this, address] { handler_->OnPeerDown(address, /*refused=*/true); }, "");
  }

  void Close() {
    {
      std::lock_guard lock(mutex_);
      loop_ = nullptr;
    }
    std::lock_guard call(call_mutex_);
    handler_ = nullptr;
  }

  // The endpoint that was last known by this address, if it is open.
  std::shared_ptr<Endpoint> Known(const std::string& address) {
    std::lock_guard lock(mutex_);
    auto found = peers_.find(address);
    return found == peers_.end() ? nullptr : found->second.lock();
  }
  void Remember(const std::string& address, const std::shared_ptr<Endpoint>& peer) {
    std::lock_guard lock(mutex_);
    peers_[address] = peer;
  }
  // True when messages were exchanged with the address since the last Forget.
  bool Forget(const std::string& address) {
    std::lock_guard lock(mutex_);
    const bool sent = peers_.erase(address) > 0;
    return senders_.erase(address) > 0 || sent;
  }

 private:
  template <class Call>
  bool Post(Call call, const std::string& from) {
    std::lock_guard lock(mutex_);
    if (loop_ == nullptr) return false;
    if (!from.empty()) senders_.insert(from);
    return loop_->PostNow([self = shared_from_this(), call = std::move(call)]() mutable {
      std::lock_guard lock(self->call_mutex_);
      if (self->handler_ != nullptr) call();
    });
  }

  std::recursive_mutex call_mutex_;  // held while the handler runs
  Transport::Handler* handler_;      // null when closed
  std::mutex mutex_;
  EventLoop* loop_;  // null when closed
  std::unordered_map<std::string, std::weak_ptr<Endpoint>> peers_;
  std::unordered_set<std::string> senders_;
};

class LocalHub::Network {
 public:
  explicit Network(Observer observer) : observer_(std::move(observer)) {}
  void Show(const std::string& from, const std::string& to, const proto::Envelope& message) {
    if (observer_ != nullptr) observer_(from, to, message);
  }
  bool Add(const std::string& address, std::shared_ptr<Endpoint> endpoint) {
    std::lock_guard lock(mutex_);
    return endpoints_.emplace(address, std::move(endpoint)).second;
  }
  std::shared_ptr<Endpoint> Find(const std::string& address) {
    std::lock_guard lock(mutex_);
    auto found = endpoints_.find(address);
    return found == endpoints_.end() ? nullptr : found->second;
  }
  void Remove(const std::string& address) {
    std::unordered_map<std::string, std::shared_ptr<Endpoint>> others;
    {
      std::lock_guard lock(mutex_);
      endpoints_.erase(address);
      others = endpoints_;
    }
    for (auto& [name, endpoint] : others) {
      if (endpoint->Forget(address)) endpoint->PeerDown(address);
    }
  }

 private:
  const Observer observer_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Endpoint>> endpoints_;
};

class LocalHub::LocalTransport : public Transport {
 public:
  LocalTransport(std::shared_ptr<Network> network, std::string address,
                 std::shared_ptr<Endpoint> endpoint)
      : network_(std::move(network)), address_(std::move(address)), self_(std::move(endpoint)) {}
  ~LocalTransport() override {
    self_->Close();
    network_->Remove(address_);
  }

  void Send(const std::string& to, proto::Envelope message) override {
    network_->Show(address_, to, message);
    std::shared_ptr<Endpoint> peer = self_->Known(to);
    if (peer == nullptr) {
      peer = network_->Find(to);
      if (peer != nullptr) self_->Remember(to, peer);
    }
    if (peer != nullptr && peer->Deliver(address_, std::move(message))) return;
    self_->Forget(to);
    self_->PeerDown(to);
  }
  const std::string& address() const override { return address_; }

 private:
  const std::shared_ptr<Network> network_;
  const std::string address_;
  const std::shared_ptr<Endpoint> self_;
};

LocalHub::LocalHub(Observer observer)
    : network_(std::make_shared<Network>(std::move(observer))) {}

std::unique_ptr<Transport> LocalHub::Open(const std::string& address,
                                          Transport::Handler* handler, EventLoop* loop) {
  auto endpoint = std::make_shared<Endpoint>(handler, loop);
  if (!network_->Add(address, endpoint)) return nullptr;
  return std::make_unique<LocalTransport>(network_, address, std::move(endpoint));
}

}  // namespace sluice
