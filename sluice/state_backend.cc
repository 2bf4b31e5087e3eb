#include "sluice/state_backend.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "checkpoint/rocksdb_sorted_db.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "state-";

bool Lives(const std::string& folder) {
  const long pid = std::strtol(folder.c_str() + kPrefix.size(), nullptr, 10);
  return pid <= 0 || kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH;
}

void RemoveWhatIsLeft(const std::string& parent) {
  std::error_code error;
  std::vector<fs::path> left;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename();
    if (name.starts_with(kPrefix) && !Lives(name)) left.push_back(it->path());
  }
  for (const fs::path& folder : left) fs::remove_all(folder, error);
}

}  // namespace

StateBackend StateBackendOf(const Config& config, const std::string& parent) {
  StateBackend backend;
  if (config.Text("state_backend") != "rocksdb") return backend;
  const auto memory = static_cast<uint64_t>(config.Bytes("state_memory"));
  backend.cached_bytes = memory / 4;
  backend.part_bytes = std::min<uint64_t>(backend.part_bytes, memory / 4);
  backend.open_bytes = std::min<uint64_t>(backend.open_bytes, memory);
  backend.open = [parent, memory]() -> absl::StatusOr<std::unique_ptr<SortedDb>> {
    static std::atomic<uint64_t> made = 0;
    RemoveWhatIsLeft(parent);
    RocksDbSortedOptions options;
    options.dir = parent + "/" + std::string(kPrefix) + std::to_string(getpid()) + "-" +
                  std::to_string(++made);
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
  return folder / ("sluice-" + std::to_string(getuid()));
}

}  // namespace sluice
