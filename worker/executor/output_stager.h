// Where tasks put the parts of file output until the batch is decided.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
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
  std::string record_type{};  // not empty: an object file of such records, else lines of text
};

// "<dir of prefix>/.sluice-<job instance>-<batch>-<output>-e<epoch>g<generation>"
std::string StagedDirectory(const StagedPart& part);

// Thread-safe.
class OutputStager {
 public:
  virtual ~OutputStager() = default;
  // Writes one line per record, or an object file. Returns the directory when the part is there to
  // stay: file and directory are synced. A part that is staged again replaces the former.
  virtual absl::StatusOr<std::string> Stage(const StagedPart& part, const BatchView& records) = 0;
};

class PosixOutputStager : public OutputStager {
 public:
  absl::StatusOr<std::string> Stage(const StagedPart& part, const BatchView& records) override;
};

}  // namespace sluice
