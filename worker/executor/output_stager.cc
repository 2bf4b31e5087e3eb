#include "worker/executor/output_stager.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

#include "common/folders.h"
#include "common/kill_point.h"
#include "common/object_file.h"
#include "common/status.h"
#include "glog/logging.h"

namespace sluice {
namespace {

constexpr size_t kWriteBytes = size_t{1} << 20;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

// `sink` takes the bytes piece by piece, about a MiB at a time.
template <typename Sink>
absl::Status ForFileBytes(const StagedPart& part, const BatchView& records, Sink sink) {
  if (!part.record_type.empty()) return sink(EncodeObjectFile(part.record_type, records));
  std::string buffer = part.rolls ? "" : part.header;
  for (uint32_t i = 0; i < records.count; ++i) {
    buffer += records.record(i);
    buffer += part.row_end;
    if (buffer.size() < kWriteBytes) continue;
    RETURN_IF_ERROR(sink(buffer));
    buffer.clear();
  }
  if (!part.rolls) buffer += part.footer;
  return sink(buffer);
}

absl::StatusOr<uint64_t> WriteFile(const std::string& path, const StagedPart& part,
                                   const BatchView& records) {
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) return FileError("create", path);
  uint64_t bytes = 0;
  RETURN_IF_ERROR(ForFileBytes(part, records, [&](std::string_view piece) {
    bytes += piece.size();
    return WriteAll(file.get(), piece, path);
  }));
  if (fsync(file.get()) != 0) return FileError("sync", path);
  return bytes;
}

absl::Status StageFile(const StagedPart& part, const BatchView& records,
                       proto::OutputPart* staged) {
  static std::atomic<uint64_t> attempts = 0;
  const std::string directory = StagedDirectory(part);
  RETURN_IF_ERROR(MakeFolder(directory));
  const std::string name = PartName(part.piece);
  const std::string path = directory + "/" + name;
  const std::string aside = directory + "/." + name + "." + std::to_string(getpid()) + "." +
                            std::to_string(++attempts);
  const absl::StatusOr<uint64_t> bytes = WriteFile(aside, part, records);
  absl::Status status = bytes.status();
  Pass(KillPoint::kPartWritten);
  if (status.ok() && rename(aside.c_str(), path.c_str()) != 0) status = FileError("rename", aside);
  if (!status.ok()) {
    unlink(aside.c_str());
    return status;
  }
  Pass(KillPoint::kPartStaged);
  RETURN_IF_ERROR(SyncFolder(directory));
  staged->set_staged_path(directory);
  staged->set_bytes(*bytes);
  return absl::OkStatus();
}

// A former attempt of the task may have had rows.
absl::Status RemoveFormer(const StagedPart& part) {
  const std::string directory = StagedDirectory(part);
  const std::string path = directory + "/" + PartName(part.piece);
  if (unlink(path.c_str()) == 0) return SyncFolder(directory);
  return errno == ENOENT ? absl::OkStatus() : FileError("remove", path);
}

}  // namespace

std::string StagedDirectory(const StagedPart& part) {
  char name[128];
  std::snprintf(name, sizeof(name), "/.sluice-%016llx-%lld-%u-e%llug%llu",
                static_cast<unsigned long long>(part.job_instance),
                static_cast<long long>(part.batch_ms), part.output,
                static_cast<unsigned long long>(part.generation.epoch),
                static_cast<unsigned long long>(part.generation.number));
  const std::string parent = FolderOf(part.prefix);
  return (parent == "/" ? "" : parent) + name;
}

std::string PartName(uint32_t piece) {
  char name[32];
  std::snprintf(name, sizeof(name), "part-%05u", piece);
  return name;
}

std::string FileBytes(const StagedPart& part, const BatchView& records) {
  std::string bytes;
  (void)ForFileBytes(part, records, [&](std::string_view piece) {
    bytes += piece;
    return absl::OkStatus();
  });
  return bytes;
}

absl::Status PosixOutputStager::Stage(const StagedPart& part, const BatchView& records,
                                      proto::OutputPart* staged) {
  const bool nothing = part.rolls && records.count == 0;
  const absl::Status status = nothing ? RemoveFormer(part) : StageFile(part, records, staged);
  if (absl::IsUnavailable(status)) {
    LOG_EVERY_N(WARNING, 20) << "output cannot be staged, and is tried again: "
                             << Message(status);
  }
  return status;
}

absl::Status PosixOutputStager::Probe(const OutputPlace& place, uint32_t executor) {
  return TryFolder(place, executor);
}

}  // namespace sluice
