// Gathers what the decided batches of an output staged until it is worth a file: then the range of
// batches is decided in the log, and the file made under a name that follows from it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/plan/graph.h"
#include "driver/job/commands.h"
#include "driver/job/job_state.h"
#include "driver/job/log_queue.h"

namespace sluice {

// Not thread-safe. Invariants: ranges of an output follow each other without a gap; a file is made
// only of a range that is durable in the log, so that every repeat makes the same one.
class Roller {
 public:
  // Of `outputs` those that roll.
  Roller(const std::vector<Output>& outputs, const JobState* state, LogQueue* log);

  // `flush`: nothing more is decided, all that is left becomes a file.
  void Advance(MonotonicTime now, bool flush, std::vector<DriverCommand>& out);
  // Of an output that rolls.
  void OnDone(MonotonicTime now, const PublishDone& done, std::vector<DriverCommand>& out);
  bool Rolls(uint32_t output) const { return heaps_.contains(output); }

  // No file is due or being made.
  bool idle() const;
  // Everything that is decided is in files.
  bool empty() const;
  // How many batches were decided since a range whose file cannot be made.
  size_t behind() const;
  const std::string& blocked() const { return blocked_; }  // last error, empty when none
  MonotonicTime retry_at() const;                          // 0: never

 private:
  struct Heap {
    uint64_t bytes_enough = 0;
    int64_t age_ms_enough = 0;
    std::string prefix, suffix;
    // What is decided, durable, and in no range yet.
    int64_t from_ms = 0;     // 0: nothing
    int64_t counted_ms = 0;  // the last batch that was looked at
    uint64_t bytes = 0;
    bool busy = false;       // its file is being made
    MonotonicTime not_before = 0;
    MonotonicTime backoff = 0;
  };
  // Looks at further batches until there is enough for a file.
  bool Gather(uint32_t output, Heap& heap) const;
  void Decide(uint32_t output, Heap& heap);
  RollOutput CommandFor(const proto::Rolling& range, const Heap& heap) const;

  const JobState* const state_;
  LogQueue* const log_;
  std::map<uint32_t, Heap> heaps_;
  std::string blocked_;
};

}  // namespace sluice
