// Where one executor stands with one batch.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "worker/executor/bundle_maker.h"
#include "worker/executor/executor_events.h"

namespace sluice {

struct StageWork {
  enum class State {
    kWaiting,  // for input, or for the stage's turn
    kRunning,
    kRetry,    // some tasks are to run again at `retry_at`
    kDone,     // run and its bundles sent, or not to run at this tick
    kFailed,   // a task failed too often: the batch cannot be finished here
  };
  State state = State::kWaiting;
  std::vector<TaskResult> results;
  std::map<uint32_t, uint32_t> failures;  // by task; only what tasks spoiled themselves
  std::vector<uint32_t> again;            // tasks of the next attempt
  MonotonicTime retry_at = 0;
  MonotonicTime launched = 0;             // its running attempt
  int64_t took_us = 0;                    // all attempts
  std::map<uint32_t, uint32_t> taken;     // tasks of which a copy counts, and whose it is
  std::set<uint32_t> compared;            // tasks with copies that do not count
  MonotonicTime asked = 0;                // for copies of the tasks of others; 0: not
};

// A task of another executor that runs here, too.
struct CopyWork {
  enum class State {
    kRunning,
    kSent,  // its shares are: whether they count, its owner says
    kOver,  // it failed, or its owner was first
  };
  State state = State::kRunning;
  uint32_t owner = 0;
};

struct BatchWork {
  std::shared_ptr<const proto::GrantedBatch> granted;
  std::shared_ptr<const Presence> presence;
  MonotonicTime started = 0;
  std::vector<StageWork> stages;      // by stage
  std::map<std::pair<StageId, uint32_t>, CopyWork> copies;  // by stage and task
  bool finished = false;              // all stages are done
  bool reported = false;              // finished, or failed for good
  proto::BatchReport report;          // grows until it is sent
  MonotonicTime report_sent = 0;
  std::vector<std::string> delta;     // pieces, until they are sealed
  std::set<uint32_t> delta_partitions;  // of these
  // What went to each member (by place in the grant), kept until nobody can need it again.
  std::vector<BundleChunks> sent;
  MonotonicTime bundles_due = 0;      // when to send them again unasked
  int64_t bundles_pause_us = 0;
};

}  // namespace sluice
