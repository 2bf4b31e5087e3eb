// What receivers of unreliable sources took and the log never got: it was lost with their node. It
// is counted and shown, as nothing can bring it back.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/plan/graph.h"
#include "driver/job/commands.h"
#include "driver/job/job_options.h"
#include "driver/job/job_state.h"
#include "driver/job/log_queue.h"
#include "driver/job/membership.h"

namespace sluice {

// Not thread-safe. Receivers tell with their beats how many records they have taken, so what one
// took after its last beat, a fifth of a second and a tenth of a lease before its end at most, is
// not known here, and neither is what waits in the socket buffers of the kernel.
class ReceiverLosses {
 public:
  ReceiverLosses(const JobDriverOptions& options, JobState* state, LogQueue* log,
                 const Membership* members)
      : options_(options), state_(state), log_(log), members_(members) {}

  void OnBeat(const proto::LeaseBeat& beat);
  void OnDead(MonotonicTime now, uint32_t stream, uint64_t incarnation);
  // Retires the dead from which nothing more is to be expected, and says what they have lost.
  // `at_once`: nothing is waited for.
  void Advance(MonotonicTime now, const LineageGraph& graph, bool at_once,
               std::vector<DriverCommand>& out);
  // Records that this incarnation has taken, as far as it was heard.
  uint64_t TakenBy(uint32_t stream, uint64_t incarnation) const;

 private:
  struct Taken {
    uint64_t records = 0;
    std::string worker;
    MonotonicTime dead = 0;  // since when; 0: it lives
  };

  const JobDriverOptions& options_;
  JobState* state_;
  LogQueue* log_;
  const Membership* members_;
  std::map<std::pair<uint32_t, uint64_t>, Taken> taken_;  // by stream and incarnation
};

}  // namespace sluice
