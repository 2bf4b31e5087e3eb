// Who has loaded the state of a generation, and what keeps the others from it: a generation begins
// with all of its executors, so that one whose node cannot read the checkpoint store holds up the
// whole job.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/clock.h"
#include "proto/cluster.pb.h"

namespace sluice {

// Pure. One executor is that of one worker. A worker is held to be at fault if its executor cannot
// load while others have loaded; not if more workers are than have loaded: then it is what they
// load.
class LoadWatch {
 public:
  explicit LoadWatch(int64_t lease_us) : lease_us_(lease_us) {}

  void Begin(MonotonicTime now, const proto::Grant& grant);
  bool WaitsFor(uint32_t executor) const { return loading_.contains(executor); }
  void OnLoaded(MonotonicTime now, uint32_t executor);
  // It may pass, and the executor tries again.
  void OnFailed(MonotonicTime now, uint32_t executor, const std::string& error);
  bool AllLoaded() const { return loading_.empty(); }

  // What there is to be said that was not said yet; empty: nothing.
  std::string News(MonotonicTime now);
  // An executor that is to leave. The next one that its worker starts is given less time.
  std::optional<uint32_t> Leaves(MonotonicTime now);
  // For the status: worker and cause. Empty: none, or all have loaded.
  const std::string& problem() const { return problem_; }

 private:
  struct Loading {
    std::string worker;
    MonotonicTime failing_since = 0;  // 0: it did not say that it does
    std::string error;
  };
  const int64_t lease_us_;
  MonotonicTime begun_ = 0;
  int64_t batch_ms_ = 0;             // of the checkpoint
  std::map<uint32_t, Loading> loading_;
  size_t loaded_ = 0;
  MonotonicTime first_loaded_ = 0;   // 0: none yet
  std::map<std::string, MonotonicTime> at_fault_;  // workers, and when their executor left last
  std::string problem_;
};

}  // namespace sluice
