// Tells worker daemons which blocks nobody needs any more, until they have heard it: a release that
// is lost on its way would leave a block with its daemon for as long as the job lives.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "driver/job/commands.h"
#include "driver/job/job_state.h"
#include "driver/job/log_queue.h"
#include "driver/job/membership.h"

namespace sluice {

// Nothing is released before all that the log was told until then is durable: a driver that is
// fenced in between must not take away what its successor still has to judge. One message is under
// way to a worker at a time; it is repeated, under its number, until a beat of the worker names
// that number. Not thread-safe.
class BlockReleases {
 public:
  BlockReleases(const JobState* state, const LogQueue* log, const Membership* members,
                uint64_t epoch)
      : state_(state), log_(log), members_(members), epoch_(epoch) {}

  // Of a worker that does not serve nothing is kept: what it holds is in the inventory with which
  // it returns.
  void Add(const std::string& worker, const BlockId& block) {
    if (members_->WorkerServes(worker)) of_[worker].waiting.push_back({block, log_->enqueued()});
  }
  void OnTaken(const proto::LeaseBeat& beat);
  void OnWorkerLost(const std::string& worker) { of_.erase(worker); }
  void Advance(MonotonicTime now, std::vector<DriverCommand>& out);

 private:
  struct Waiting {
    BlockId block;
    uint64_t after = 0;  // sequence number of the log
  };
  struct OfWorker {
    std::deque<Waiting> waiting;
    std::vector<BlockId> under_way;
    uint64_t number = 0;  // of the message under way
    MonotonicTime sent = 0;
  };

  void TakeDue(OfWorker& releases);

  const JobState* state_;
  const LogQueue* log_;
  const Membership* members_;
  const uint64_t epoch_;
  uint64_t last_number_ = 0;
  std::map<std::string, OfWorker> of_;  // by worker id
};

}  // namespace sluice
