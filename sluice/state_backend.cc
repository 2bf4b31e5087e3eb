#include "sluice/state_backend.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "checkpoint/errors.h"
#include "checkpoint/rocksdb_sorted_db.h"
#include "worker/executor/state_folders.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kReadAhead = 8;  // a bucket answers in some 20 ms
constexpr uint32_t kReadAheadBounded = 2;  // half of what may be held

bool IsGone(int64_t pid) { return kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH; }

// Why state cannot be kept there; null: it can.
const char* WhyNotOurs(const struct stat& there) {
  if (S_ISLNK(there.st_mode)) return "it is a symbolic link";
  if (!S_ISDIR(there.st_mode)) return "it is no folder";
  if (there.st_uid != geteuid()) return "it belongs to another user";
  if ((there.st_mode & 0777) != 0700) return "its mode is not 0700";
  return nullptr;
}

}  // namespace

StateBackend StateBackendOf(const Config& config, const std::string& parent) {
  StateBackend backend;
  backend.read_ahead = kReadAhead;
  if (config.Text("state_backend") != "rocksdb") return backend;
  const auto memory = static_cast<uint64_t>(config.Bytes("state_memory"));
  backend.cached_bytes = memory / 4;
  backend.part_bytes = std::min<uint64_t>(backend.part_bytes, memory / 4);
  backend.read_ahead = kReadAheadBounded;
  backend.open_bytes = std::min<uint64_t>(backend.open_bytes, memory);
  backend.open_bytes -= backend.read_ahead * backend.part_bytes;
  backend.open = [parent, memory]() -> absl::StatusOr<std::unique_ptr<SortedDb>> {
    static std::atomic<uint64_t> made = 0;
    RocksDbSortedOptions options;
    options.dir = StateFolder(parent, getpid(), ++made);
    std::error_code ignored;
    fs::remove_all(options.dir, ignored);  // of a former process of this pid
    options.memory = memory - memory / 4;
    return OpenRocksDbSorted(std::move(options));
  };
  return backend;
}

std::string TemporaryStateFolder() {
  std::error_code error;
  fs::path folder = fs::temp_directory_path(error);
  if (error) folder = "/tmp";
  return folder / ("sluice-" + std::to_string(geteuid()));
}

absl::Status PrepareStateFolder(const std::string& path) {
  struct stat there {};
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return RefusedError("no folder for state can be made: " + path + ": " + std::strerror(errno));
  }
  if (lstat(path.c_str(), &there) != 0) {
    return RefusedError("no state can be kept in " + path + ": " + std::strerror(errno));
  }
  if (const char* why = WhyNotOurs(there)) {
    return RefusedError(std::string("no state is kept where others can reach it: ") + why +
                        ": remove it, or have TMPDIR name another place: " + path);
  }
  RemoveStateFolders(path, IsGone);
  return absl::OkStatus();
}

}  // namespace sluice
