// Where tasks put the parts of file output until the batch is decided.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "checkpoint/output_marker.h"
#include "common/record_batch.h"
#include "worker/executor/executor_events.h"

namespace sluice {

struct StagedPart {
  std::string prefix;  // of the output
  uint64_t job_instance = 0;
  int64_t batch_ms = 0;
  uint32_t output = 0;
  GenerationId generation;
  uint32_t piece = 0;
  std::string record_type{};  // not empty: an object file of such records, else rows as they are
  std::string row_end = "\n";
  std::string header{}, footer{};  // of a file that is published as it is staged
  std::string suffix{};       // of the output
  bool rolls = false;         // see Output: rows only, and nothing where there are none
};

// "<dir of prefix>/.sluice-<job instance>-<batch>-<output>-e<epoch>g<generation>"
std::string StagedDirectory(const StagedPart& part);
// "part-00003"
std::string PartName(uint32_t piece);
// All bytes of the part's file, without header and footer where the output rolls.
std::string FileBytes(const StagedPart& part, const BatchView& records);

// Thread-safe.
class OutputStager {
 public:
  virtual ~OutputStager() = default;
  // Writes the part's file and says in `staged` what the job driver needs to publish it: path and
  // bytes, or what else its place has. It is there to stay: synced, with its directory. A part that
  // is staged again replaces the former.
  virtual absl::Status Stage(const StagedPart& part, const BatchView& records,
                             proto::OutputPart* staged) = 0;
  // Whether this process may write an output, in the place that the job driver means. Not found:
  // it is another place. What may pass by itself: unavailable. Those that write nowhere say OK.
  virtual absl::Status Probe(const OutputPlace& place, uint32_t executor) {
    (void)place, (void)executor;
    return absl::OkStatus();
  }
};

class PosixOutputStager : public OutputStager {
 public:
  absl::Status Stage(const StagedPart& part, const BatchView& records,
                     proto::OutputPart* staged) override;
  absl::Status Probe(const OutputPlace& place, uint32_t executor) override;
};

}  // namespace sluice
