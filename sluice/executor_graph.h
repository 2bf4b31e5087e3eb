// The program's graph as an executor builds it: the job driver's constants and configuration
// instead of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/config.h"
#include "driver/api/streaming_context.h"
#include "proto/cluster.pb.h"

namespace sluice {

struct ExecutorProgram {
  std::shared_ptr<const LineageGraph> graph;  // keeps the context alive
  Config config;
};

absl::StatusOr<ExecutorProgram> BuildForExecutor(const proto::ExecutorInit& init,
                                                 const std::vector<std::string>& words,
                                                 JobOptions options, BuildFunction build);

}  // namespace sluice
