// How a worker daemon stays known to the driver daemon: registers, beats, and when the driver is
// away says so once and tries again with back-off. It never gives up. Where drivers stand by for
// each other it tries them in turn, and goes to the one that it is told leads.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "worker/daemon/worker_events.h"

namespace sluice {

class DriverLink {
 public:
  explicit DriverLink(const WorkerConfig& config);

  // `beat` is what a heartbeat says besides who sends it.
  void Tick(MonotonicTime now, const proto::WorkerHeartbeat& beat, worker::Commands& out);
  // The next heartbeat is due.
  void Hurry() { next_ = registered_ ? 0 : next_; }
  // A heartbeat out of turn: the daemon's last word.
  void SayNow(const proto::WorkerHeartbeat& beat, worker::Commands& out) const;
  void OnRegistered(MonotonicTime now, const proto::WorkerRegistered& message,
                    worker::Commands& out);
  void OnDown(MonotonicTime now, worker::Commands& out);
  // A worker that was never in cannot come in with what it presents; one that was keeps its blocks
  // and tries again, as when the driver is away.
  void OnDenied(const std::string& why, worker::Commands& out);
  // Time passed unnoticed: nothing is to be concluded from silence.
  void Renew(MonotonicTime now) { heard_ = now; }

  // False: the message is of a driver that no longer leads.
  bool Takes(uint64_t leader_epoch);
  // After Takes. Whoever says it, the driver at `address` leads.
  void OnLeads(MonotonicTime now, uint64_t leader_epoch, const std::string& address,
               worker::Commands& out);

  const std::string& address() const { return addresses_[at_]; }  // empty in local mode
  bool registered() const { return registered_; }
  int64_t lease_us() const { return lease_us_; }

 private:
  void SendRegister(bool draining, worker::Commands& out) const;
  void SayAway(worker::Commands& out);
  void TryNext() { at_ = (at_ + 1) % addresses_.size(); }

  const WorkerConfig& config_;
  std::vector<std::string> addresses_;  // never empty
  size_t at_ = 0;
  bool asked_here_ = false;     // this address, since it was chosen
  uint64_t epoch_ = 0;          // the highest of a leader
  uint64_t told_epoch_ = 0;     // and of one that we were told of
  bool registered_ = false;
  bool ever_registered_ = false;
  bool said_away_ = false;
  int64_t lease_us_ = 5'000'000;
  int64_t backoff_us_ = 100'000;
  MonotonicTime next_ = 0;      // of the next attempt or beat
  MonotonicTime heard_ = 0;
  MonotonicTime asked_ = 0;     // when it last registered anew
  MonotonicTime unknown_ = 0;   // when it last did because the driver said that it does not know it
};

}  // namespace sluice
