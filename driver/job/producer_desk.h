// The producers that a job knows: where each stands, how many of a push stream there may be, and
// when one is forgotten (docs/cli.md, “Pushing”).
#pragma once

#include <set>
#include <string>
#include <vector>

#include "common/plan/graph.h"
#include "driver/job/commands.h"
#include "driver/job/job_options.h"
#include "driver/job/job_state.h"
#include "driver/job/log_queue.h"

namespace sluice {

// Not thread-safe. Receivers of the program's own, whose names mean the same records for ever, are
// never refused a producer, and theirs are never forgotten.
class ProducerDesk {
 public:
  ProducerDesk(const JobDriverOptions& options, const LineageGraph& graph, JobState* state,
               LogQueue* log);

  // Answered when all that was logged so far is durable. A new producer of a push stream that
  // knows as many as it may is refused.
  void OnQuery(const std::string& from, const proto::ProducerQuery& query,
               std::vector<DriverCommand>& out);
  // A checkpoint was sealed: those of push streams that have been quiet for long are forgotten.
  void OnSealed();

 private:
  const JobDriverOptions& options_;
  JobState* state_;
  LogQueue* log_;
  std::set<uint32_t> push_streams_;
};

}  // namespace sluice
