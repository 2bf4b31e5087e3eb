// Carries out what the job driver's core decides of file outputs, on paths and in buckets.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "checkpoint/output_buckets.h"
#include "common/plan/graph.h"
#include "driver/job/commands.h"

namespace sluice {

// Not thread-safe.
class FileOutputs {
 public:
  // With `overwrite` every output replaces batches that another job left, as those do that say so.
  explicit FileOutputs(uint64_t epoch, bool overwrite = false)
      : epoch_(epoch), overwrite_(overwrite) {}

  PublishDone Publish(const PublishOutput& publish, const Output& output);
  PublishDone Roll(const RollOutput& roll, const Output& output);

 private:
  // How often an output was published since another generation staged it.
  struct Published {
    std::string maker;  // "e3g5"
    uint64_t count = 0;
  };
  // Deletes what is left of batches up to this one, if that is due. `staged`: a path of it.
  void Sweep(const Output& output, const std::string& staged, uint64_t job_instance,
             int64_t batch_ms);

  const uint64_t epoch_;
  const bool overwrite_;
  OutputBuckets buckets_;
  std::map<OutputId, Published> published_;
};

}  // namespace sluice
