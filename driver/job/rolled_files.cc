#include "driver/job/rolled_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "checkpoint/file_ops.h"
#include "common/object_file.h"
#include "common/status.h"
#include "driver/job/output_place.h"

namespace sluice {
namespace {

constexpr size_t kWriteBytes = size_t{1} << 20;
// Records of object files in one section; more where one part has more.
constexpr uint64_t kSectionBytes = uint64_t{16} << 20;

uint64_t StagedBytes(const RollOutput& roll) {
  uint64_t bytes = 0;
  for (const proto::StagedOutput& staged : roll.staged) bytes += staged.bytes();
  return bytes;
}

// Calls `take` with the bytes of every part, in the order of batches and pieces.
absl::Status ForParts(const RollOutput& roll, const ReadPart& read,
                      const std::function<absl::Status(std::string)>& take) {
  uint64_t bytes = 0;
  for (const proto::StagedOutput& staged : roll.staged) {
    if (staged.staged_path().empty()) continue;
    const uint32_t names = staged.names_size() > 0 ? staged.names_size() : staged.parts();
    for (uint32_t piece = 0; piece < names; ++piece) {
      char usual[32];
      std::snprintf(usual, sizeof usual, "part-%05u", piece);
      const std::string name = staged.names_size() > 0 ? staged.names(piece) : usual;
      absl::StatusOr<std::string> part = read(staged.staged_path(), name);
      if (absl::IsNotFound(part.status())) continue;
      RETURN_IF_ERROR(part.status());
      bytes += part->size();
      RETURN_IF_ERROR(take(*std::move(part)));
    }
  }
  if (bytes == StagedBytes(roll)) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("of the ", StagedBytes(roll), " bytes that decided "
                                          "batches staged for ", roll.target, " ", bytes,
                                          " are there"));
}

absl::Status GatherRecords(const RollOutput& roll, const Output& output, const ReadPart& read,
                           const ByteSink& sink) {
  RecordBatch section;
  const auto end_section = [&] {
    const absl::Status status = sink(EncodeObjectFile(output.record_type, section.view()));
    section.Clear();
    return status;
  };
  std::vector<uint32_t> scratch;
  RETURN_IF_ERROR(ForParts(roll, read, [&](const std::string& part) -> absl::Status {
    ASSIGN_OR_RETURN(const BatchView view, DecodeObjectFile(part, output.record_type, scratch));
    const bool full = section.size() + view.size > kSectionBytes;
    if (full && !section.empty()) RETURN_IF_ERROR(end_section());
    if (section.empty()) section.SetFixedSize(view.fixed_size);
    if (section.AppendAll(view)) return absl::OkStatus();
    return absl::DataLossError("staged parts of " + roll.target + " do not fit together");
  }));
  return end_section();
}

class NewFile {
 public:
  explicit NewFile(std::string path)
      : path_(std::move(path)),
        fd_(open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {}
  ~NewFile() {
    if (fd_ >= 0) close(fd_);
  }
  absl::Status Write(std::string_view bytes) {
    if (fd_ < 0) return PlaceError("cannot make " + path_, errno);
    while (!bytes.empty()) {
      const ssize_t written = write(fd_, bytes.data(), std::min(bytes.size(), kWriteBytes));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return PlaceError("cannot write " + path_, errno);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }
  absl::Status Sync() {
    return fsync(fd_) == 0 ? absl::OkStatus() : PlaceError("cannot sync " + path_, errno);
  }

 private:
  const std::string path_;
  const int fd_;
};

}  // namespace

absl::Status GatherRolled(const RollOutput& roll, const Output& output, const ReadPart& read,
                          const ByteSink& sink) {
  if (output.kind == OutputKind::kObjectFiles) return GatherRecords(roll, output, read, sink);
  RETURN_IF_ERROR(sink(output.header));
  RETURN_IF_ERROR(ForParts(roll, read, [&](const std::string& part) { return sink(part); }));
  return sink(output.footer);
}

absl::StatusOr<std::string> ReadStagedFile(const std::string& directory,
                                           const std::string& name) {
  return FileOps::Posix()->Read(directory + "/" + name);
}

absl::Status MakeRolledFile(const RollOutput& roll, const Output& output, uint64_t epoch,
                            const ReadPart& read) {
  const std::string directory = ParentOf(roll.target);
  if (StagedBytes(roll) == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool made, IsThere(roll.target));
  if (made) return FileOps::Posix()->SyncDirectory(directory);
  char name[128];
  std::snprintf(name, sizeof name, "/.sluice-rolled-%016" PRIx64 "-%" PRId64 "-%u-e%" PRIu64,
                roll.job_instance, roll.to_ms, roll.output, epoch);
  const std::string aside = directory + name;
  NewFile file(aside);
  const absl::Status gathered =
      GatherRolled(roll, output, read, [&](std::string_view bytes) { return file.Write(bytes); });
  if (absl::IsDataLoss(gathered)) {  // or another driver made the file meanwhile, and swept
    ASSIGN_OR_RETURN(const bool made_now, IsThere(roll.target));
    if (made_now) return FileOps::Posix()->SyncDirectory(directory);
  }
  RETURN_IF_ERROR(gathered);
  if (const absl::Status synced = file.Sync(); !synced.ok()) {
    unlink(aside.c_str());  // its pages may be lost, and a second sync would not tell: a new file
    return synced;
  }
  if (const int error = MoveToNewName(aside, roll.target); error != 0 && error != EEXIST) {
    return PlaceError("cannot move " + aside + " to " + roll.target, error);
  }
  return FileOps::Posix()->SyncDirectory(directory);
}

}  // namespace sluice
