#include "sluice/replay_case.h"

#include <google/protobuf/text_format.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "checkpoint/errors.h"
#include "common/status.h"

namespace sluice {
namespace {

// A copied file keeps its size; its times are those of whoever copied it last.
void Resolve(const std::string& folder, proto::FileRange* file) {
  if (file->path().starts_with('/')) return;
  file->set_path(folder + "/" + file->path());
  struct stat seen;
  if (stat(file->path().c_str(), &seen) != 0) return;  // whoever reads it says so
  file->set_modified_ns(int64_t{seen.st_mtim.tv_sec} * 1'000'000'000 + seen.st_mtim.tv_nsec);
}

absl::Status Check(const proto::ReplayCase& the_case) {
  if (the_case.job().partitions() == 0 || the_case.batches().empty()) {
    return absl::InvalidArgumentError("it has no job or no batch");
  }
  int64_t before_ms = 0;
  for (const auto& batch : the_case.batches()) {
    const int64_t batch_ms = batch.composition().batch_ms();
    if (batch_ms <= before_ms) return absl::InvalidArgumentError("its batches are in no order");
    before_ms = batch_ms;
  }
  if (before_ms != the_case.batch_ms()) {
    return absl::InvalidArgumentError("its last batch is another one");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<proto::ReplayCase> ReadCase(const std::string& folder) {
  const std::string path = folder + "/" + kCaseFile;
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError("no case is at " + path);
  std::ostringstream read;  // an iterator would throw where the file cannot be read
  read << in.rdbuf();
  const std::string text = std::move(read).str();
  proto::ReplayCase the_case;
  if (!google::protobuf::TextFormat::ParseFromString(text, &the_case)) {
    return DamagedError(path + " is no case");
  }
  const absl::Status sound = Check(the_case);
  if (!sound.ok()) return DamagedError(path + " is no case: " + std::string(Message(sound)));
  for (auto& batch : *the_case.mutable_batches()) {
    for (auto& source : *batch.mutable_composition()->mutable_sources()) {
      for (auto& task : *source.mutable_tasks()) {
        for (auto& piece : *task.mutable_pieces()) {
          if (piece.has_file()) Resolve(folder, piece.mutable_file());
        }
      }
    }
  }
  return the_case;
}

absl::Status WriteCase(const std::string& folder, const proto::ReplayCase& the_case) {
  std::string text;
  if (!google::protobuf::TextFormat::PrintToString(the_case, &text)) {
    return absl::InternalError("the case cannot be written as text");
  }
  const std::string path = folder + "/" + kCaseFile;
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  return out.good() ? absl::OkStatus() : absl::UnavailableError("cannot write " + path);
}

}  // namespace sluice
