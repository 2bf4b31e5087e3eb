// Which worker daemons there are, as the driver daemon knows it: by id and incarnation, alive for a
// lease after each sign of life.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/clock.h"
#include "proto/client.pb.h"
#include "proto/cluster.pb.h"

namespace sluice {

// Pure bookkeeping: no I/O, no clock. Invariants: at most one incarnation per id; a worker that is
// lost keeps its row (and its slots' owners) until it returns or kForgetLeases have passed; an
// incarnation that drains never stops draining.
class WorkerRegistry {
 public:
  static constexpr int kForgetLeases = 24;

  struct Worker {
    proto::WorkerRegister self;
    proto::WorkerHeartbeat last;
    std::string link;               // where to answer
    MonotonicTime heard = 0;
    bool live = false;
  };

  explicit WorkerRegistry(MonotonicTime lease_us) : lease_us_(lease_us) {}

  // Why the worker cannot be taken (another protocol or machine), or empty: it is in.
  // `changed` is set when the set of live workers, or of those that drain, is another one now.
  std::string Register(MonotonicTime now, const std::string& from,
                       const proto::WorkerRegister& worker, bool* changed);
  // False: nobody of that id and incarnation is known, it has to register.
  bool Heartbeat(MonotonicTime now, const proto::WorkerHeartbeat& heartbeat, bool* changed);
  // The process at `address` has ended. True: it was a live worker.
  bool PeerEnded(const std::string& address);
  // Marks silent workers as lost, forgets those lost for long. True: a live one was lost.
  bool Expire(MonotonicTime now);
  // Nobody is judged for a time in which we did not listen.
  void RenewAll(MonotonicTime now);

  const std::map<std::string, Worker>& workers() const { return workers_; }
  std::vector<proto::WorkerInfo> Infos() const;

 private:
  const MonotonicTime lease_us_;
  std::map<std::string, Worker> workers_;
};

}  // namespace sluice
