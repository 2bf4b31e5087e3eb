// Sorts what the tasks of one stage have for others into one bundle per executor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "common/plan/stages.h"
#include "proto/cluster.pb.h"
#include "worker/executor/executor_events.h"

namespace sluice {

struct BundleHead {
  GenerationId generation;
  uint64_t job_instance = 0;
  int64_t batch_ms = 0;
  StageId stage = 0;
  uint32_t from_executor = 0;
  int64_t took_us = 0;
  // Of the stage's own bundle: whose shares of some tasks count; by task.
  std::map<uint32_t, uint32_t> copied;
  // Of a copy's bundle.
  std::optional<proto::ShareBundle::Copy> copy;
  proto::CopyResult copy_result;
};

// The chunks of one bundle, at least one; each of about `chunk_bytes` or one share.
using BundleChunks = std::vector<std::shared_ptr<const proto::ShareBundle>>;

// One bundle for each member of `owners`, in their order. Takes the shares out of `results`,
// which are in task order.
std::vector<BundleChunks> MakeBundles(const BundleHead& head, const StagePlan& plan,
                                      const Ownership& owners, uint64_t chunk_bytes,
                                      std::vector<TaskResult>& results);

}  // namespace sluice
