// What listeners are told of batches: each one is submitted, started and completed once, in order
// of batch time, whatever generations come between; its output operations start with it and
// complete before it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/plan/stages.h"
#include "driver/job/commands.h"

namespace sluice {

// Not thread-safe.
class BatchEvents {
 public:
  // Batches up to `decided_ms` belong to a former driver.
  BatchEvents(const StagePlan& plan, const proto::JobBegun& job, int64_t decided_ms)
      : plan_(plan), zero_ms_(job.zero_ms()), interval_ms_(job.batch_interval_ms()),
        submitted_ms_(decided_ms) {}

  // The batch is frozen, or was found frozen and undecided.
  void Submitted(MonotonicTime now, const proto::Composition& composition,
                 std::vector<DriverCommand>& out);
  // Its tasks were handed out; again after a loss.
  void Started(MonotonicTime now, int64_t batch_ms, std::vector<DriverCommand>& out);
  // The output is published, or its user code has returned or failed.
  void OutputEnded(MonotonicTime now, int64_t batch_ms, uint32_t output,
                   const std::string& failure, std::vector<DriverCommand>& out);
  void Decided(int64_t batch_ms, uint64_t records, uint64_t letters);
  // For good. It completes, with all its outputs that have not, and is not heard of again even
  // where it is skipped and runs once more, empty.
  void Failed(MonotonicTime now, int64_t batch_ms, const std::string& cause,
              std::vector<DriverCommand>& out);
  // Completes what is decided, up to `durable_ms`, and out.
  void Advance(MonotonicTime now, int64_t durable_ms, std::vector<DriverCommand>& out);

 private:
  struct Open {
    BatchNews news;
    std::map<uint32_t, MonotonicTime> outputs;  // not completed; 0: not started
  };
  BatchNews::Input InputOf(const proto::SourceInput& source) const;
  void EndOutput(MonotonicTime now, Open& batch, uint32_t output, const std::string& failure,
                 std::vector<DriverCommand>& out);

  const StagePlan& plan_;
  const int64_t zero_ms_;
  const int64_t interval_ms_;
  int64_t submitted_ms_;
  std::map<int64_t, Open> open_;  // submitted and not completed
};

}  // namespace sluice
