// Freezes a batch: which blocks, ranges and records belong to it, and how they are split into
// tasks. A pure function of what waits; the result is logged and never changes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/plan/stages.h"
#include "driver/job/commands.h"
#include "driver/job/job_state.h"

namespace sluice {

struct PlanRequest {
  int64_t batch_ms = 0;
  int64_t missed_from_ms = 0;          // 0: no tick was missed
  uint32_t tasks = 1;                  // map tasks per source stage
  uint64_t max_batch_input = 0;        // bytes of files; 0: no bound
  const SourcesListed* listed = nullptr;
  // Index of each map task's member in the present generation; empty: there is none.
  std::vector<uint32_t> member_of_task;
  // Members whose worker holds the block.
  std::function<std::vector<uint32_t>(const LoggedBlock&)> members_holding;
};

proto::Composition PlanBatch(const StagePlan& plan, const JobState& state,
                             const PlanRequest& request);

// Records and file bytes that the composition's source stage holds; lost blocks do not count.
struct PlannedInput {
  uint64_t block_records = 0;
  uint64_t file_bytes = 0;
  bool files = false;  // there are pieces of files, empty ones too
  uint64_t inline_records = 0;
};
PlannedInput InputOf(const proto::SourceInput& source, JobState& state);

}  // namespace sluice
