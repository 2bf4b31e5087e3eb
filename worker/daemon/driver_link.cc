#include "worker/daemon/driver_link.h"

namespace sluice {
namespace {

constexpr int64_t kBackoffFirstUs = 100'000;
constexpr int64_t kBackoffMaxUs = 5'000'000;

}  // namespace

DriverLink::DriverLink(const WorkerConfig& config) : config_(config) {
  const std::string& all = config.driver_address;
  for (size_t begin = 0; begin <= all.size();) {
    const size_t end = std::min(all.find(',', begin), all.size());
    addresses_.push_back(all.substr(begin, end - begin));
    begin = end + 1;
  }
}

bool DriverLink::Takes(uint64_t leader_epoch) {
  if (leader_epoch < epoch_) return false;
  epoch_ = leader_epoch;
  return true;
}

void DriverLink::OnLeads(MonotonicTime now, uint64_t leader_epoch, const std::string& address,
                         worker::Commands& out) {
  const bool known = leader_epoch <= told_epoch_;
  told_epoch_ = std::max(told_epoch_, leader_epoch);
  if (address.empty() || (address == this->address() && (registered_ || known))) return;
  auto found = std::find(addresses_.begin(), addresses_.end(), address);
  if (found == addresses_.end()) found = addresses_.insert(addresses_.end(), address);
  at_ = static_cast<size_t>(found - addresses_.begin());
  asked_here_ = registered_ = false;
  // One who tells it again and again may be wrong: then the back-off goes on.
  if (known) return;
  backoff_us_ = kBackoffFirstUs;
  next_ = now;
  out.push_back(worker::Say{"the driver that leads is " + address});
}

void DriverLink::SendRegister(bool draining, worker::Commands& out) const {
  Send send{address(), {}};
  auto* message = send.message.mutable_worker_register();
  message->set_worker_id(config_.worker_id);
  message->set_incarnation(config_.incarnation);
  message->set_address(config_.address);
  message->set_host(config_.host);
  message->set_slots(config_.slots);
  message->set_machine(config_.machine);
  message->set_protocol(config_.protocol);
  message->set_pid(config_.pid);
  message->set_draining(draining);
  out.push_back(std::move(send));
}

void DriverLink::SayAway(worker::Commands& out) {
  if (said_away_) return;
  said_away_ = true;
  out.push_back(worker::Say{"driver is away; blocks are kept, trying again: " +
                            address()});
}

void DriverLink::SayNow(const proto::WorkerHeartbeat& beat, worker::Commands& out) const {
  if (address().empty()) return;
  Send send{address(), {}};
  auto* message = send.message.mutable_worker_heartbeat();
  *message = beat;
  message->set_worker_id(config_.worker_id);
  message->set_incarnation(config_.incarnation);
  out.push_back(std::move(send));
}

void DriverLink::Tick(MonotonicTime now, const proto::WorkerHeartbeat& beat,
                      worker::Commands& out) {
  if (address().empty() || now < next_) return;
  if (!registered_) {
    if (asked_here_) TryNext();
    asked_here_ = true;
    SendRegister(!beat.drain().empty(), out);
    next_ = now + backoff_us_;
    backoff_us_ = std::min(backoff_us_ * 2, kBackoffMaxUs);
    return;
  }
  if (now - heard_ > 3 * lease_us_) {
    registered_ = false;
    backoff_us_ = kBackoffFirstUs;
    SayAway(out);
    TryNext();
    asked_here_ = false;
    return;
  }
  next_ = now + lease_us_ / 10;
  SayNow(beat, out);
  // Once a lease it registers again: a driver that was replaced unnoticed learns of this worker,
  // and its answer shows that it is there.
  if (now - asked_ > lease_us_) {
    asked_ = now;
    SendRegister(!beat.drain().empty(), out);
  }
}

void DriverLink::OnRegistered(MonotonicTime now, const proto::WorkerRegistered& message,
                              worker::Commands& out) {
  if (!message.refused().empty()) {
    if (!ever_registered_) {
      out.push_back(worker::Exit{3, "driver refused this worker: " + message.refused()});
    } else {
      out.push_back(worker::Say{"driver refused this worker, trying again: " + message.refused()});
      registered_ = false;
    }
    return;
  }
  if (message.register_again()) {
    heard_ = now;
    // At once, but once a lease: of two workers with one id each makes the other one unknown.
    if (now - unknown_ < lease_us_) return;
    unknown_ = now;
    registered_ = asked_here_ = false;
    backoff_us_ = kBackoffFirstUs;
    next_ = now;
    return;
  }
  if (message.lease_ms() > 0) lease_us_ = static_cast<int64_t>(message.lease_ms()) * 1000;
  heard_ = now;
  if (!registered_) {
    asked_ = now;
    next_ = now;
    out.push_back(worker::Say{std::string(said_away_ ? "driver is back" : "registered") + ": " +
                              address()});
  }
  registered_ = true;
  ever_registered_ = true;
  said_away_ = false;
  backoff_us_ = kBackoffFirstUs;
}

void DriverLink::OnDenied(const std::string& why, worker::Commands& out) {
  if (ever_registered_) return;
  out.push_back(worker::Exit{6, "driver does not let this worker in: " + why});
}

void DriverLink::OnDown(MonotonicTime now, worker::Commands& out) {
  if (registered_) {
    registered_ = false;
    backoff_us_ = kBackoffFirstUs;
    next_ = now + backoff_us_;
  }
  SayAway(out);
}

}  // namespace sluice
