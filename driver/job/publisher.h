// Publishes what decided batches staged: in order for each output, repeated until it succeeds.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "driver/job/commands.h"
#include "driver/job/job_state.h"
#include "driver/job/log_queue.h"
#include "driver/job/membership.h"
#include "driver/job/roller.h"

namespace sluice {

// Not thread-safe.
class Publisher {
 public:
  // All outputs but those of `roller`.
  Publisher(const JobState* state, LogQueue* log, const Roller* roller)
      : state_(state), log_(log), roller_(roller) {}

  // Issues what may be published: its decision is durable and its predecessors are published.
  void Advance(MonotonicTime now, std::vector<DriverCommand>& out);
  void OnDone(MonotonicTime now, const PublishDone& done, std::vector<DriverCommand>& out);
  bool idle() const;
  // How many decided batches have output that is not published.
  size_t behind() const;
  const std::string& blocked() const { return blocked_; }  // last error, empty when none
  MonotonicTime retry_at() const;

 private:
  struct Turn {
    int64_t busy_ms = 0;        // batch being published; 0: none
    MonotonicTime not_before = 0;
    MonotonicTime backoff = 0;
  };
  bool Waits(const DecidedBatch& batch) const;

  const JobState* state_;
  LogQueue* log_;
  const Roller* roller_;
  std::map<uint32_t, Turn> turns_;  // by output
  int64_t all_published_ms_ = 0;    // of batches up to here nothing is left to publish
  std::string blocked_;
};

}  // namespace sluice
