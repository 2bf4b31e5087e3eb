#include "driver/daemon/binary_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "common/crypto.h"
#include "common/names.h"
#include "common/status.h"

namespace sluice::daemon {
namespace {

constexpr char kUploadPrefix[] = ".upload-";

absl::Status Failed(const std::string& what, const std::string& path) {
  std::string text = what + ": " + std::strerror(errno) + ": " + path;
  return errno == ENOSPC ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

absl::Status SyncFolder(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed("cannot open folder", path);
  int result = fsync(fd);
  absl::Status status = result == 0 ? absl::OkStatus() : Failed("cannot sync folder", path);
  close(fd);
  return status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BinaryStore>> BinaryStore::Open(const std::string& root) {
  std::error_code error;
  std::filesystem::create_directories(root, error);
  if (error) return absl::InternalError("cannot make folder: " + error.message() + ": " + root);
  chmod(root.c_str(), 0700);
  std::filesystem::directory_iterator entry(root, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    bool left_over = entry->path().filename().string().rfind(kUploadPrefix, 0) == 0;
    if (left_over) std::filesystem::remove(entry->path(), ignored);
  }
  return std::unique_ptr<BinaryStore>(new BinaryStore(root));
}

BinaryStore::Hold::Hold(BinaryStore* store, std::vector<std::string> digests)
    : store_(store), digests_(std::move(digests)) {
  std::lock_guard lock(store_->mutex_);
  for (const std::string& digest : digests_) ++store_->held_[digest];
}

BinaryStore::Hold::~Hold() {
  std::lock_guard lock(store_->mutex_);
  for (const std::string& digest : digests_) {
    if (--store_->held_[digest] == 0) store_->held_.erase(digest);
  }
}

size_t BinaryStore::Collect(const std::set<std::string>& needed) {
  std::lock_guard lock(mutex_);
  size_t removed = 0;
  std::error_code error;
  std::filesystem::directory_iterator entry(root_, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!IsDigest(name) || needed.contains(name) || held_.contains(name)) continue;
    if (unlink(entry->path().c_str()) == 0) ++removed;
  }
  return removed;
}

bool BinaryStore::Has(const std::string& digest, uint64_t size) const {
  auto path = PathOf(digest);
  struct stat info;
  return path.ok() && stat(path->c_str(), &info) == 0 &&
         static_cast<uint64_t>(info.st_size) == size;
}

absl::StatusOr<std::string> BinaryStore::PathOf(const std::string& digest) const {
  if (!IsDigest(digest)) return absl::InvalidArgumentError("not a SHA-256 digest: " + digest);
  std::string path = root_ + "/" + digest;
  if (access(path.c_str(), F_OK) != 0) return absl::NotFoundError("no binary " + digest);
  return path;
}

absl::StatusOr<std::unique_ptr<BinaryStore::Upload>> BinaryStore::Begin(const std::string& digest,
                                                                        uint64_t size) const {
  if (!IsDigest(digest)) return absl::InvalidArgumentError("not a SHA-256 digest: " + digest);
  if (size > kBinaryBytesMax) {
    return absl::FailedPreconditionError("larger than " + std::to_string(kBinaryBytesMax) +
                                         " bytes: " + std::to_string(size));
  }
  auto upload = std::unique_ptr<Upload>(new Upload(root_, digest, size));
  upload->temporary_ = root_ + "/" + kUploadPrefix + "XXXXXX";
  upload->fd_ = mkostemp(upload->temporary_.data(), O_CLOEXEC);
  if (upload->fd_ < 0) return Failed("cannot make file", upload->temporary_);
  return upload;
}

BinaryStore::Upload::Upload(std::string root, std::string digest, uint64_t size)
    : root_(std::move(root)), digest_(std::move(digest)), size_(size) {}

BinaryStore::Upload::~Upload() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

absl::Status BinaryStore::Upload::Write(std::string_view bytes) {
  if (bytes.size() > missing()) {
    return absl::InvalidArgumentError("more bytes than announced for " + digest_);
  }
  sum_.Add(bytes);
  received_ += bytes.size();
  while (!bytes.empty()) {
    ssize_t written = write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("cannot write", temporary_);
    bytes.remove_prefix(written);
  }
  return absl::OkStatus();
}

absl::Status BinaryStore::Upload::Finish() {
  if (missing() != 0 || sum_.Hex() != digest_) {
    return absl::DataLossError("the bytes that arrived are not those of " + digest_);
  }
  if (fchmod(fd_, 0500) != 0 || fsync(fd_) != 0) return Failed("cannot sync", temporary_);
  // Closed before it gets its name: a file open for writing cannot be executed.
  close(std::exchange(fd_, -1));
  std::string path = root_ + "/" + digest_;
  if (rename(temporary_.c_str(), path.c_str()) != 0) {
    absl::Status status = Failed("cannot rename", path);
    unlink(temporary_.c_str());
    return status;
  }
  return SyncFolder(root_);
}

absl::StatusOr<std::string> DigestOfFile(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed("cannot open", path);
  Sha256 sum;
  std::vector<char> buffer(1 << 20);
  ssize_t got = 0;
  while ((got = read(fd, buffer.data(), buffer.size())) > 0) {
    sum.Add(std::string_view(buffer.data(), got));
  }
  close(fd);
  if (got < 0) return Failed("cannot read", path);
  return sum.Hex();
}

}  // namespace sluice::daemon
