// For tests: a disk that forgets, at the kill, what was not synced, and that can be full. It
// writes through to real files and remembers how much of each was synced.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "checkpoint/file_ops.h"

namespace rocksdb {
class Env;
}

namespace sluice {

// Our own files. Thread-safe.
class LossyFileOps : public FileOps {
 public:
  absl::Status Write(const std::string& path, uint64_t offset, std::string_view bytes) override;
  absl::Status SyncFile(const std::string& path) override;
  absl::StatusOr<std::string> Read(const std::string& path) override;
  absl::Status LinkIfAbsent(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;

  void SetFull(bool full);
  // The next sync of a file fails, and the kernel drops what it should have written: it is lost at
  // the kill however often the file is synced again, which succeeds.
  void FailNextSync();
  // The machine stops: files are as last synced, links and files of unsynced directories are gone.
  void Kill();

 private:
  std::mutex mutex_;
  bool full_ = false;
  bool fail_sync_ = false;
  std::set<std::string> lost_;                 // files whose sync failed
  std::map<std::string, std::string> synced_;  // what unsynced files go back to
  std::set<std::string> unsynced_entries_;
};

// RocksDB's files.
class LossyRocksDbEnv {
 public:
  LossyRocksDbEnv();
  ~LossyRocksDbEnv();

  rocksdb::Env* env() const { return env_.get(); }
  void SetFull(bool full);
  // The next sync of a write-ahead log fails; as above.
  void FailNextSync();
  // From now on nothing reaches the disk; then the database is to be closed.
  void Kill();
  // After the close: cuts every file to what was synced.
  void Forget();

  struct State;

 private:
  std::shared_ptr<State> state_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace sluice
