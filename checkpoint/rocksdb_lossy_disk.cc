#include <unistd.h>

#include <cstdint>
#include <utility>

#include "checkpoint/lossy_disk.h"
#include "common/status.h"
#include "rocksdb/env.h"
#include "rocksdb/file_system.h"

namespace sluice {

absl::Status LossyFileOps::Write(const std::string& path, uint64_t offset,
                                 std::string_view bytes) {
  std::lock_guard lock(mutex_);
  const absl::StatusOr<std::string> before = Posix()->Read(path);
  if (full_) {  // a name costs nothing: the file is made, and empty
    (void)Posix()->Write(path, 0, "");
    if (!before.ok()) unsynced_entries_.insert(path);
    return absl::ResourceExhaustedError("no space left for " + path);
  }
  if (!before.ok()) unsynced_entries_.insert(path);
  synced_.emplace(path, before.ok() ? *before : std::string());
  return Posix()->Write(path, offset, bytes);
}

absl::Status LossyFileOps::SyncFile(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (std::exchange(fail_sync_, false)) {
    lost_.insert(path);
    return absl::UnavailableError("cannot sync " + path);
  }
  if (!lost_.contains(path)) synced_.erase(path);
  return absl::OkStatus();
}

absl::StatusOr<std::string> LossyFileOps::Read(const std::string& path) {
  return Posix()->Read(path);
}

absl::Status LossyFileOps::LinkIfAbsent(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Posix()->LinkIfAbsent(from, to));
  unsynced_entries_.insert(to);
  if (const auto found = synced_.find(from); found != synced_.end()) synced_[to] = found->second;
  return absl::OkStatus();
}

absl::Status LossyFileOps::Remove(const std::string& path) {
  std::lock_guard lock(mutex_);
  unsynced_entries_.erase(path);
  return Posix()->Remove(path);
}

absl::Status LossyFileOps::MakeDirectory(const std::string& path) {
  return Posix()->MakeDirectory(path);
}

absl::Status LossyFileOps::SyncDirectory(const std::string& path) {
  std::lock_guard lock(mutex_);
  std::erase_if(unsynced_entries_, [&](const std::string& e) { return ParentOf(e) == path; });
  return absl::OkStatus();
}

void LossyFileOps::SetFull(bool full) {
  std::lock_guard lock(mutex_);
  full_ = full;
}

void LossyFileOps::FailNextSync() {
  std::lock_guard lock(mutex_);
  fail_sync_ = true;
}

void LossyFileOps::Kill() {
  std::lock_guard lock(mutex_);
  for (const auto& [path, bytes] : synced_) {
    if (::truncate(path.c_str(), static_cast<off_t>(bytes.size())) == 0) {
      (void)Posix()->Write(path, 0, bytes);
    }
  }
  for (const std::string& path : unsynced_entries_) ::unlink(path.c_str());
  synced_.clear();
  unsynced_entries_.clear();
  lost_.clear();
}

struct LossyRocksDbEnv::State {
  struct File {
    uint64_t size = 0;
    uint64_t synced = 0;
    bool log = false;   // a write-ahead log
    bool lost = false;  // a sync of it failed
  };
  std::mutex mutex;
  bool full = false;
  bool fail_sync = false;
  bool killed = false;
  std::map<std::string, std::shared_ptr<File>> files;
};

namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using State = LossyRocksDbEnv::State;

class LossyFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  LossyFile(std::unique_ptr<rocksdb::FSWritableFile> target, std::shared_ptr<State> state,
            std::shared_ptr<State::File> file)
      : FSWritableFileOwnerWrapper(std::move(target)), state_(std::move(state)), file_(file) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* context) override {
    std::lock_guard lock(state_->mutex);
    if (state_->killed) return IOStatus::IOError("killed");
    if (state_->full) return IOStatus::NoSpace("full");
    file_->size += data.size();
    return FSWritableFileOwnerWrapper::Append(data, options, context);
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&, IODebugContext* context) override {
    return Append(data, options, context);
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return Synced(); }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return Synced(); }

 private:
  IOStatus Synced() {
    std::lock_guard lock(state_->mutex);
    if (state_->killed) return IOStatus::IOError("killed");
    if (file_->log && std::exchange(state_->fail_sync, false)) {
      file_->lost = true;
      return IOStatus::IOError("the sync failed");
    }
    if (!file_->lost) file_->synced = file_->size;
    return IOStatus::OK();
  }

  std::shared_ptr<State> state_;
  std::shared_ptr<State::File> file_;
};

class LossyFileSystem : public rocksdb::FileSystemWrapper {
 public:
  explicit LossyFileSystem(std::shared_ptr<State> state)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), state_(std::move(state)) {}

  const char* Name() const override { return "LossyFileSystem"; }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* context) override {
    std::lock_guard lock(state_->mutex);
    if (state_->killed) return IOStatus::IOError("killed");
    if (state_->full) return IOStatus::NoSpace("full");
    std::unique_ptr<rocksdb::FSWritableFile> target;
    const IOStatus status = FileSystemWrapper::NewWritableFile(path, options, &target, context);
    if (!status.ok()) return status;
    auto file = std::make_shared<State::File>();
    file->log = path.ends_with(".log");
    state_->files[path] = file;
    *result = std::make_unique<LossyFile>(std::move(target), state_, file);
    return status;
  }

  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* context) override {
    std::lock_guard lock(state_->mutex);
    if (state_->killed) return IOStatus::IOError("killed");
    const auto found = state_->files.find(from);
    if (found != state_->files.end()) {
      state_->files[to] = found->second;
      state_->files.erase(found);
    }
    return FileSystemWrapper::RenameFile(from, to, options, context);
  }

  IOStatus DeleteFile(const std::string& path, const IOOptions& options,
                      IODebugContext* context) override {
    std::lock_guard lock(state_->mutex);
    if (state_->killed) return IOStatus::IOError("killed");
    state_->files.erase(path);
    return FileSystemWrapper::DeleteFile(path, options, context);
  }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace

LossyRocksDbEnv::LossyRocksDbEnv()
    : state_(std::make_shared<State>()),
      env_(rocksdb::NewCompositeEnv(std::make_shared<LossyFileSystem>(state_))) {}

LossyRocksDbEnv::~LossyRocksDbEnv() = default;

void LossyRocksDbEnv::SetFull(bool full) {
  std::lock_guard lock(state_->mutex);
  state_->full = full;
}

void LossyRocksDbEnv::FailNextSync() {
  std::lock_guard lock(state_->mutex);
  state_->fail_sync = true;
}

void LossyRocksDbEnv::Kill() {
  std::lock_guard lock(state_->mutex);
  state_->killed = true;
}

void LossyRocksDbEnv::Forget() {
  std::lock_guard lock(state_->mutex);
  for (const auto& [path, file] : state_->files) {
    (void)!::truncate(path.c_str(), static_cast<off_t>(file->synced));
  }
  state_->files.clear();
  state_->killed = false;
}

}  // namespace sluice
