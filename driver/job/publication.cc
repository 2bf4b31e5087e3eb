#include "driver/job/publication.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>

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

// Replacing what another job left takes several steps, a job driver that was replaced may stand
// still before any of them and go on when its successor has taken others. So:
//   1. what is staged gets a mark, a file in it, and then a name that ends with the epoch of the
//      job driver. Only whom a name belongs to exchanges what has it with the target, and once;
//   2. a later job driver takes it over under a name of its own, and what its predecessor knows
//      does not exist any more;
//   3. under such a name, what has no mark is what was replaced.

std::string HeldBy(uint64_t epoch, const std::string& staged) {
  return staged + "-by" + std::to_string(epoch);
}

std::string MarkIn(const std::string& directory, const std::string& staged) {
  return directory + "/" + fs::path(staged).filename().string();
}

// The name by which this job driver has what is being published in the place of other output;
// empty: no job driver is at that.
absl::StatusOr<std::string> TakeOver(const std::string& staged, uint64_t epoch) {
  const std::string start = fs::path(HeldBy(0, staged)).filename().string();
  const std::string_view common(start.data(), start.size() - 1);
  std::optional<uint64_t> holder;
  std::error_code error;
  fs::directory_iterator entry(ParentOf(staged), error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(common)) continue;
    holder = std::max(holder.value_or(0),
                      uint64_t{std::strtoull(name.c_str() + common.size(), nullptr, 10)});
  }
  if (error) return PlaceError("cannot list " + ParentOf(staged), error.value());
  if (!holder.has_value()) return "";
  if (*holder > epoch) {
    return absl::UnavailableError("a later job driver publishes " + staged);
  }
  const std::string held = HeldBy(epoch, staged);
  if (*holder == epoch) return held;
  if (const int failed = MoveToNewName(HeldBy(*holder, staged), held); failed != 0) {
    return PlaceError("cannot take over " + HeldBy(*holder, staged), failed);
  }
  return held;
}

// Without an exchange of names another one may publish between the look and the removal.
int RemoveAndMove(const std::string& held, const std::string& to) {
  const absl::StatusOr<bool> is_held = IsThere(held);
  if (!is_held.ok() || !*is_held) return ENOENT;
  std::error_code error;
  fs::remove_all(to, error);
  return error ? error.value() : MoveToNewName(held, to);
}

// It has its name for good.
absl::Status Settle(const std::string& staged, const std::string& to) {
  RETURN_IF_ERROR(SyncPath(ParentOf(to), O_RDONLY | O_DIRECTORY));
  std::error_code error;
  fs::remove(MarkIn(to, staged), error);
  return error ? PlaceError("cannot remove a mark in " + to, error.value()) : absl::OkStatus();
}

absl::Status Replace(const std::string& staged, const std::string& held, const std::string& to) {
  ASSIGN_OR_RETURN(const bool is_new, IsThere(MarkIn(held, staged)));
  if (is_new) {
    int error = MoveToNewName(held, to);  // where somebody has deleted what was there
    if (error == EEXIST || error == ENOTEMPTY) error = ExchangeNames(held, to);
    if (error == EINVAL) error = RemoveAndMove(held, to);
    if (error != 0) return PlaceError("cannot replace " + to + " by " + held, error);
  } else {
    ASSIGN_OR_RETURN(const bool is_old, IsThere(held));
    if (!is_old) return absl::UnavailableError("another job driver has taken over " + held);
  }
  RETURN_IF_ERROR(Settle(staged, to));
  std::error_code error;
  fs::remove_all(held, error);
  return error ? PlaceError("cannot remove " + held, error.value()) : absl::OkStatus();
}

}  // namespace

absl::Status PublishTextFiles(const proto::StagedOutput& staged, uint64_t epoch, bool overwrite) {
  const std::string& from = staged.staged_path();
  const std::string& to = staged.target_path();
  ASSIGN_OR_RETURN(const bool is_staged, IsThere(from));
  if (!is_staged) {
    ASSIGN_OR_RETURN(const bool has_folder, IsThere(ParentOf(to)));
    if (!has_folder) return PlaceError("cannot open " + ParentOf(to), ENOENT);
    ASSIGN_OR_RETURN(const std::string held, TakeOver(from, epoch));
    if (!held.empty()) return Replace(from, held, to);
    ASSIGN_OR_RETURN(const bool is_out, IsThere(to));
    if (is_out) return Settle(from, to);
    return absl::DataLossError("staged output " + from + " of a decided batch is missing");
  }
  RETURN_IF_ERROR(SyncPath(from + "/_SUCCESS", O_WRONLY | O_CREAT));
  RETURN_IF_ERROR(SyncPath(from, O_RDONLY | O_DIRECTORY));
  Pass(KillPoint::kOutputComplete);
  const int error = MoveToNewName(from, to);
  if (error == EEXIST || error == ENOTEMPTY) {
    if (!overwrite) {
      return absl::AlreadyExistsError("output " + to + " is there already, from another job; "
                                      "choose another prefix or give the program --overwrite");
    }
    RETURN_IF_ERROR(SyncPath(MarkIn(from, from), O_WRONLY | O_CREAT));
    RETURN_IF_ERROR(SyncPath(from, O_RDONLY | O_DIRECTORY));
    const std::string held = HeldBy(epoch, from);
    if (const int failed = MoveToNewName(from, held); failed != 0) {
      return PlaceError("cannot move " + from + " to " + held, failed);
    }
    return Replace(from, held, to);
  }
  if (error != 0) return PlaceError("cannot move " + from + " to " + to, error);
  Pass(KillPoint::kOutputRenamed);
  RETURN_IF_ERROR(Settle(from, to));
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
