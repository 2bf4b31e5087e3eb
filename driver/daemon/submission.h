// Taking a submission in: what it may say, which of its parts are missing, and their bytes.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/job_files.h"
#include "driver/daemon/binary_store.h"
#include "proto/client.pb.h"
#include "proto/job_table.pb.h"

namespace sluice::daemon {

// InvalidArgument or FailedPrecondition (exit codes 2 and 3): what no binary could make right.
absl::Status CheckSpec(const proto::JobSpec& spec);

std::vector<JobFile> FilesOf(const proto::JobSpec& spec);

// The missing parts of one submission, filled in order. One thread.
class Intake {
 public:
  Intake(BinaryStore* store, const proto::JobSpec& spec);
  proto::SubmitReply::Missing missing() const;
  // Bytes of the missing parts, one after the other, cut anywhere.
  absl::Status Take(std::string_view bytes);
  // DataLoss: it ended too early.
  absl::Status Finish();
  uint64_t received() const { return received_; }

 private:
  struct Part {
    uint32_t index;
    std::string digest;
    uint64_t size;
  };
  absl::Status NextPart();  // begins the part at next_, passing over empty ones

  BinaryStore* const store_;
  std::vector<Part> parts_;
  size_t next_ = 0;
  uint64_t received_ = 0;
  std::unique_ptr<BinaryStore::Upload> upload_;
};

}  // namespace sluice::daemon
