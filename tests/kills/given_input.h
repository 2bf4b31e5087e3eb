// The input that a test gave, made again from what the log says of a batch: the records of a block
// from its producers' numbers, those of a file range from the file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/plan/interpreter.h"
#include "proto/batch.pb.h"

namespace sluice::kills {

// Not thread-safe.
class GivenInput {
 public:
  // Record n of the producer is line n of the file, from 1.
  absl::Status AddProducer(const std::string& producer, const std::string& path);

  // One entry per map task, one encoded batch per piece. Failed precondition when a block made
  // again has not the record count and checksum that the log holds of it.
  absl::StatusOr<ReferenceInterpreter::TaskInputs> Make(const proto::SourceInput& source);

  // Of all that was made so far.
  uint64_t blocks() const { return blocks_; }
  uint64_t files() const { return files_; }
  uint64_t records() const { return records_; }

 private:
  absl::StatusOr<std::string> MakeBlock(const proto::BlockInfo& block);
  absl::StatusOr<std::string> MakeRange(const proto::FileRange& range);

  std::map<std::string, std::vector<std::string>> producers_;
  uint64_t blocks_ = 0;
  uint64_t files_ = 0;
  uint64_t records_ = 0;
};

}  // namespace sluice::kills
