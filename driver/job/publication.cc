#include "driver/job/publication.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "checkpoint/output_marker.h"
#include "common/kill_point.h"
#include "common/status.h"
#include "driver/job/output_place.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

absl::Status SyncPath(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (fd < 0) return PlaceError("cannot open " + path, errno);
  const int synced = fsync(fd);
  const int error = errno;
  close(fd);
  return synced == 0 ? absl::OkStatus() : PlaceError("cannot sync " + path, error);
}

std::string ParentOf(const std::string& path) { return fs::path(path).parent_path().string(); }

// Whether a name is that of a directory of staged parts (worker/executor/output_stager.h), or of a
// file that is being made of them (rolled_files.h), of this output up to this batch.
bool IsStaged(const std::string& name, const StagedOf& staged, int64_t batch_ms) {
  unsigned long long job = 0, epoch = 0, generation = 0;
  long long ms = 0;
  unsigned output = 0;
  const bool parts = std::sscanf(name.c_str(), ".sluice-%llx-%lld-%u-e%llug%llu", &job, &ms,
                                 &output, &epoch, &generation) == 5;
  const bool rolled = !parts && std::sscanf(name.c_str(), ".sluice-rolled-%llx-%lld-%u-e%llu",
                                            &job, &ms, &output, &epoch) == 4;
  return (parts || rolled) && job == staged.job_instance && output == staged.output &&
         ms <= batch_ms;
}

}  // namespace

absl::Status PublishTextFiles(const proto::StagedOutput& staged, bool overwrite) {
  const std::string& from = staged.staged_path();
  const std::string& to = staged.target_path();
  ASSIGN_OR_RETURN(const bool is_staged, IsThere(from));
  if (!is_staged) {
    ASSIGN_OR_RETURN(const bool is_out, IsThere(to));
    if (is_out) return SyncPath(ParentOf(to), O_RDONLY | O_DIRECTORY);
    ASSIGN_OR_RETURN(const bool has_folder, IsThere(ParentOf(to)));
    if (!has_folder) return PlaceError("cannot open " + ParentOf(to), ENOENT);
    return absl::DataLossError("staged output " + from + " of a decided batch is missing");
  }
  RETURN_IF_ERROR(SyncPath(from + "/_SUCCESS", O_WRONLY | O_CREAT));
  RETURN_IF_ERROR(SyncPath(from, O_RDONLY | O_DIRECTORY));
  Pass(KillPoint::kOutputComplete);
  if (const int error = MoveToNewName(from, to); error != 0) {
    if (error != EEXIST && error != ENOTEMPTY) {
      return PlaceError("cannot move " + from + " to " + to, error);
    }
    if (!overwrite) {
      return absl::AlreadyExistsError("output " + to + " is there already, from another job; "
                                      "choose another prefix or give the program --overwrite");
    }
    std::error_code removed;
    fs::remove_all(to, removed);
    if (removed) return PlaceError("cannot remove " + to, removed.value());
    return PublishTextFiles(staged, overwrite);
  }
  Pass(KillPoint::kOutputRenamed);
  RETURN_IF_ERROR(SyncPath(ParentOf(to), O_RDONLY | O_DIRECTORY));
  Pass(KillPoint::kOutputPublished);
  return absl::OkStatus();
}

void SweepStaged(const StagedOf& staged, int64_t batch_ms) {
  std::error_code error;
  fs::directory_iterator entry(ParentOf(staged.prefix), error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool marker = IsMarkerLeft(name, staged.job_instance, staged.epoch);
    if (!marker && !IsStaged(name, staged, batch_ms)) continue;
    std::error_code failed;
    fs::remove_all(entry->path(), failed);
  }
}

std::string FormatPrinted(int64_t batch_ms, const proto::StagedOutput& staged, uint32_t limit) {
  const std::string dashes(43, '-');
  std::string text = dashes + "\nTime: " + std::to_string(batch_ms) + " ms\n" + dashes + "\n";
  uint32_t shown = 0;
  for (const std::string& row : staged.printed()) {
    if (shown++ == limit) {
      text += "...\n";
      break;
    }
    text += row + "\n";
  }
  return text + "\n";
}

}  // namespace sluice
