#include "driver/daemon/submission.h"

#include "checkpoint/checkpoint_url.h"
#include "common/job_files.h"
#include "common/names.h"
#include "common/status.h"

namespace sluice::daemon {
namespace {

constexpr size_t kArgumentsMax = 10'000;

}  // namespace

absl::Status CheckSpec(const proto::JobSpec& spec) {
  if (!IsName(spec.name())) return absl::InvalidArgumentError("no name for a job: " + spec.name());
  if (!IsDigest(spec.binary_digest())) {
    return absl::InvalidArgumentError("a submission without its binary's digest");
  }
  if (spec.args_size() > static_cast<int>(kArgumentsMax)) {
    return absl::FailedPreconditionError("too many arguments for one job");
  }
  RETURN_IF_ERROR(CheckJobFiles(FilesOf(spec)));
  if (!spec.checkpoint().empty()) {
    RETURN_IF_ERROR(ParseCheckpointUrl(spec.checkpoint()).status());
  }
  const auto log = spec.conf().find("received_log");
  if (log != spec.conf().end() && log->second == "on" && spec.checkpoint().empty()) {
    return absl::FailedPreconditionError("received_log=on needs --checkpoint");
  }
  return absl::OkStatus();
}

std::vector<JobFile> FilesOf(const proto::JobSpec& spec) {
  std::vector<JobFile> files;
  for (const auto& file : spec.files()) files.push_back({file.name(), file.digest()});
  return files;
}

Intake::Intake(BinaryStore* store, const proto::JobSpec& spec) : store_(store) {
  auto add = [&](uint32_t index, const std::string& digest, uint64_t size) {
    if (!store->Has(digest, size)) parts_.push_back(Part{index, digest, size});
  };
  add(0, spec.binary_digest(), spec.binary_size());
  for (int i = 0; i < spec.files_size(); ++i) {
    add(i + 1, spec.files(i).digest(), spec.files(i).size());
  }
}

proto::SubmitReply::Missing Intake::missing() const {
  proto::SubmitReply::Missing missing;
  for (const Part& part : parts_) missing.add_parts(part.index);
  return missing;
}

absl::Status Intake::NextPart() {
  while (upload_ == nullptr && next_ < parts_.size()) {
    const Part& part = parts_[next_];
    ASSIGN_OR_RETURN(upload_, store_->Begin(part.digest, part.size));
    if (part.size != 0) break;
    RETURN_IF_ERROR(upload_->Finish());
    upload_.reset();
    ++next_;
  }
  return absl::OkStatus();
}

absl::Status Intake::Take(std::string_view bytes) {
  while (!bytes.empty()) {
    RETURN_IF_ERROR(NextPart());
    if (upload_ == nullptr) return absl::InvalidArgumentError("more bytes than were announced");
    std::string_view piece = bytes.substr(0, upload_->missing());
    RETURN_IF_ERROR(upload_->Write(piece));
    bytes.remove_prefix(piece.size());
    received_ += piece.size();
    if (upload_->missing() != 0) continue;
    RETURN_IF_ERROR(upload_->Finish());
    upload_.reset();
    ++next_;
  }
  return absl::OkStatus();
}

absl::Status Intake::Finish() {
  RETURN_IF_ERROR(NextPart());
  if (next_ == parts_.size()) return absl::OkStatus();
  return absl::DataLossError("the upload ended too early");
}

}  // namespace sluice::daemon
