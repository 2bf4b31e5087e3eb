// Carries out what the job driver's core decides of the places of file outputs: marks folders, and
// tries buckets.
#pragma once

#include <cstdint>
#include <string>

#include "checkpoint/output_buckets.h"
#include "checkpoint/output_marker.h"
#include "common/plan/graph.h"
#include "driver/job/commands.h"

namespace sluice {

// Not thread-safe.
class OutputFolders {
 public:
  // `graph` outlives this.
  OutputFolders(const LineageGraph* graph, uint64_t epoch)
      : OutputFolders(graph, epoch, OutputBuckets::Briefly()) {}
  OutputFolders(const LineageGraph* graph, uint64_t epoch, OutputBuckets::Connect connect)
      : graph_(graph), epoch_(epoch), buckets_(std::move(connect)) {}

  OutputsMarked Mark(const MarkOutputs& mark);
  void Unmark();  // what Mark has marked

 private:
  OutputPlace PlaceOf(const Output& output) const {
    return {output.prefix, output.suffix, job_instance_, epoch_};
  }

  const LineageGraph* const graph_;
  const uint64_t epoch_;
  OutputBuckets buckets_;
  uint64_t job_instance_ = 0;  // 0: nothing is marked
};

}  // namespace sluice
