#include "checkpoint/posix_object_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <tuple>

#include "checkpoint/errors.h"
#include "common/kill_point.h"
#include "common/status.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr char kAside[] = ".aside";
constexpr size_t kCopyBytes = size_t{1} << 20;

absl::Status ListingError(const std::string& path, const std::error_code& error) {
  return absl::UnavailableError("cannot list " + path + ": " + error.message());
}

uint64_t RandomNumber() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

// The mount that a path is on; two mounts of one file system are two. Nothing: no such path.
std::optional<std::tuple<uint32_t, uint32_t, uint64_t>> MountOf(const std::string& path) {
  struct statx info;
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_TYPE | STATX_MNT_ID, &info) != 0) return {};
  const bool told = (info.stx_mask & STATX_MNT_ID) != 0;
  return std::tuple{info.stx_dev_major, info.stx_dev_minor, told ? info.stx_mnt_id : 0};
}

// Objects get their names by hard links, which do not reach from one mount to another.
absl::Status CheckOneMount(const std::string& root, const std::string& aside) {
  const auto mount = MountOf(aside);
  std::error_code error;
  for (fs::directory_iterator it(root, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code gone;
    if (!it->is_directory(gone) || gone) continue;
    const auto other = MountOf(it->path());
    if (!other.has_value() || other == mount) continue;
    return RefusedError("objects are put in place by hard links, so all of " + root +
                        " must be on one mount; " + it->path().string() + " is another");
  }
  return error ? ListingError(root, error) : absl::OkStatus();
}

}  // namespace

PosixObjectStore::PosixObjectStore(const std::string& root, FileOps* files)
    : root_(root), aside_(root + "/" + kAside), files_(files), random_(RandomNumber()) {}

absl::StatusOr<std::unique_ptr<PosixObjectStore>> PosixObjectStore::Open(const std::string& root,
                                                                         FileOps* files) {
  if (root.empty() || root[0] != '/') {
    return absl::InvalidArgumentError("the directory of objects is not absolute: " + root);
  }
  std::unique_ptr<PosixObjectStore> store(new PosixObjectStore(root, files));
  RETURN_IF_ERROR(MakeDirectoriesDurably(files, store->aside_));
  RETURN_IF_ERROR(CheckOneMount(root, store->aside_));
  return store;
}

absl::Status PosixObjectStore::PutIfAbsent(const std::string& name, std::string_view bytes) {
  RETURN_IF_ERROR(CheckObjectName(name));
  const std::string aside = NewAsidePath();
  absl::Status status = files_->Write(aside, 0, bytes);
  if (status.ok()) status = Place(aside, name);
  (void)files_->Remove(aside);  // what stays is swept later
  return status;
}

absl::Status PosixObjectStore::PutFileIfAbsent(const std::string& name, const std::string& path) {
  RETURN_IF_ERROR(CheckObjectName(name));
  std::ifstream source(path, std::ios::binary);
  if (!source) return absl::UnavailableError("cannot open " + path);
  const std::string aside = NewAsidePath();
  absl::Status status = files_->Write(aside, 0, "");
  std::string buffer(kCopyBytes, '\0');
  for (uint64_t offset = 0; status.ok();) {
    source.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    const auto got = static_cast<size_t>(source.gcount());
    if (source.bad()) status = absl::UnavailableError("cannot read " + path);
    if (got == 0) break;
    if (status.ok()) status = files_->Write(aside, offset, std::string_view(buffer).substr(0, got));
    offset += got;
  }
  if (status.ok()) status = Place(aside, name);
  (void)files_->Remove(aside);
  return status;
}

// The directory is synced also when the name was taken: its maker may have crashed before that.
absl::Status PosixObjectStore::Place(const std::string& aside, const std::string& name) {
  Pass(KillPoint::kObjectWritten);
  RETURN_IF_ERROR(files_->SyncFile(aside));
  const std::string path = PathOf(name);
  RETURN_IF_ERROR(MakeDirectoriesDurably(files_, ParentOf(path)));
  Pass(KillPoint::kObjectSynced);
  const absl::Status linked = files_->LinkIfAbsent(aside, path);
  if (!linked.ok() && !absl::IsAlreadyExists(linked)) return linked;
  Pass(KillPoint::kObjectLinked);
  RETURN_IF_ERROR(files_->SyncDirectory(ParentOf(path)));
  return linked;
}

absl::StatusOr<std::string> PosixObjectStore::Get(const std::string& name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  return files_->Read(PathOf(name));
}

absl::StatusOr<std::vector<ObjectInfo>> PosixObjectStore::List(const std::string& prefix) {
  std::vector<ObjectInfo> found;
  std::error_code error;
  fs::recursive_directory_iterator it(root_, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (it.depth() == 0 && it->path().filename() == kAside) it.disable_recursion_pending();
    std::error_code gone;  // another process may delete what we look at
    if (!it->is_regular_file(gone)) continue;
    const uint64_t bytes = it->file_size(gone);
    const std::string name = it->path().string().substr(root_.size() + 1);
    if (!gone && name.starts_with(prefix)) found.push_back({name, bytes});
  }
  if (error) return ListingError(root_, error);
  std::ranges::sort(found, {}, &ObjectInfo::name);
  return found;
}

absl::Status PosixObjectStore::Delete(const std::string& name) {
  RETURN_IF_ERROR(CheckObjectName(name));
  const absl::Status removed = files_->Remove(PathOf(name));
  if (absl::IsNotFound(removed)) return absl::OkStatus();
  RETURN_IF_ERROR(removed);
  return files_->SyncDirectory(ParentOf(PathOf(name)));
}

absl::Status PosixObjectStore::SweepAside(int64_t age_s) {
  std::error_code error;
  const auto limit = fs::file_time_type::clock::now() - std::chrono::seconds(age_s);
  for (fs::directory_iterator it(aside_, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code gone;
    const fs::file_time_type written = it->last_write_time(gone);
    if (!gone && written <= limit) fs::remove(it->path(), gone);
  }
  return error ? ListingError(aside_, error) : absl::OkStatus();
}

std::string PosixObjectStore::NewAsidePath() {
  return aside_ + "/" + std::to_string(random_) + "-" + std::to_string(++counter_);
}

}  // namespace sluice
