#include "worker/daemon/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace sluice {

uint64_t RandomId() {
  uint64_t id = 0;
  while (id == 0) {
    if (::getrandom(&id, sizeof(id), 0) != sizeof(id)) id = 0;
  }
  return id;
}

uint64_t MemoryBytes() {
  uint64_t bytes = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                   static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  std::ifstream limit("/sys/fs/cgroup/memory.max");
  uint64_t group = 0;
  if (limit >> group && group > 0) bytes = std::min(bytes, group);
  return bytes;
}

absl::StatusOr<DataDir> OpenDataDir(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return absl::FailedPreconditionError("cannot make the data directory " + path + ": " +
                                         error.message());
  }
  DataDir dir;
  const std::string lock_path = path + "/lock";
  dir.lock = UniqueFd(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!dir.lock.ok()) return absl::ErrnoToStatus(errno, "cannot open " + lock_path);
  if (::flock(dir.lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError("another worker daemon uses the data directory " + path);
  }
  const std::string id_path = path + "/worker_id";
  std::ifstream(id_path) >> dir.worker_id;
  if (!dir.worker_id.empty()) return dir;
  char id[32];
  std::snprintf(id, sizeof(id), "w-%012" PRIx64, RandomId() & 0xffffffffffff);
  dir.worker_id = id;
  {
    std::ofstream file(id_path + ".new");
    file << id << "\n";
    if (!file.flush()) return absl::ResourceExhaustedError("cannot write " + id_path);
  }
  std::filesystem::rename(id_path + ".new", id_path, error);
  if (error) return absl::InternalError("cannot write " + id_path + ": " + error.message());
  return dir;
}

}  // namespace sluice
