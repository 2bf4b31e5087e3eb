#include "checkpoint/rocksdb_log_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <utility>

#include "checkpoint/rocksdb_slot_key.h"
#include "checkpoint/rocksdb_status.h"
#include "checkpoint/wal_damage.h"
#include "checkpoint/witness_keeper.h"
#include "common/kill_point.h"
#include "common/status.h"
#include "glog/logging.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/write_batch.h"

namespace sluice {
namespace {

using internal::KeyOfSlot;
using internal::kSlotKeyBytes;
using internal::SlotOfKey;

constexpr size_t kDeletesPerBatch = 1000;

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

// What RocksDB has to say goes to our log. A log file of its own would be on the disk that may be
// full, and RocksDB as Debian builds it ends the process at its second failed write to that file.
class ToOurLog : public rocksdb::Logger {
 public:
  ToOurLog() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  void LogHeader(const char*, va_list) override {}
  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list words) override {
    char text[1000];
    std::vsnprintf(text, sizeof text, format, words);
    LOG(WARNING) << "RocksDB: " << text;
  }
};

rocksdb::Options DbOptions(rocksdb::Env* env, bool create) {
  rocksdb::Options options;
  if (env != nullptr) options.env = env;
  options.create_if_missing = create;
  // The default mode drops, without an error, all that follows a damaged record.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  options.paranoid_checks = true;
  options.compression = rocksdb::kNoCompression;
  options.write_buffer_size = size_t{16} << 20;
  options.info_log = std::make_shared<ToOurLog>();
  options.stats_dump_period_sec = 0;
  return options;
}

// The lock that says who has the log: held by a descriptor, so that it ends with its process.
class OwnerLock {
 public:
  ~OwnerLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  absl::Status Take(const std::string& path) {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd_ < 0) return absl::UnavailableError("cannot open " + path);
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) return Refusal(path);
    const std::string text = std::to_string(::getpid()) + "\n";
    // Only for messages: a disk that is full must not keep a driver from its log.
    if (::ftruncate(fd_, 0) == 0) (void)!::pwrite(fd_, text.data(), text.size(), 0);
    return absl::OkStatus();
  }

 private:
  absl::Status Refusal(const std::string& path) const {
    if (errno != EWOULDBLOCK) return absl::UnavailableError("cannot lock " + path);
    char text[32];
    const ssize_t size = ::pread(fd_, text, sizeof text, 0);
    std::string pid(text, static_cast<size_t>(std::max<ssize_t>(size, 0)));
    pid = pid.substr(0, pid.find('\n'));
    return HeldError("the log is held by a live driver" +
                     (pid.empty() ? std::string() : ", pid " + pid) + ": " + path);
  }

  int fd_ = -1;
};

class RocksDbLogStore : public LogStore {
 public:
  RocksDbLogStore(const std::string& directory, const RocksDbLogOptions& options)
      : options_(options),
        directory_(directory),
        path_(directory + "/log") {}

  absl::Status Open() {
    RETURN_IF_ERROR(MakeDirectoriesDurably(options_.files, directory_));
    RETURN_IF_ERROR(owner_.Take(directory_ + "/log.owner"));
    if (options_.owned != nullptr) RETURN_IF_ERROR(options_.owned());
    LengthWitness witness(options_.files, directory_ + "/log.witness");
    RETURN_IF_ERROR(witness.Load());
    const bool exists = ::access((path_ + "/CURRENT").c_str(), F_OK) == 0;
    if (!exists && errno != ENOENT && errno != ENOTDIR) {
      return absl::UnavailableError("cannot look for " + path_ + "/CURRENT: " +
                                    std::strerror(errno));
    }
    if (!exists && witness.length().value_or(0) > 0) {
      return DamagedError("driver log damaged: " + path_ + "/CURRENT is missing; slots up to " +
                          std::to_string(*witness.length()) + " were synced");
    }
    if (!exists) RETURN_IF_ERROR(witness.Raise(0, options_.sync));
    witness_ = std::make_unique<WitnessKeeper>(std::move(witness), options_.sync);
    witness_->Start();
    // RocksDB complains of one that is not there.
    if (!exists) RETURN_IF_ERROR(MakeDirectoriesDurably(options_.files, path_));
    RETURN_IF_ERROR(OpenDb(!exists));
    return exists ? absl::OkStatus() : options_.files->SyncDirectory(directory_);
  }

  absl::Status ReadAll(uint64_t from, const Visitor& visitor) override {
    std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(Usable());
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(rocksdb::ReadOptions()));
    for (it->Seek(KeyOfSlot(from)); it->Valid(); it->Next()) {
      if (it->key().size() != kSlotKeyBytes) {
        return DamagedError("driver log damaged: " + path_ + ": bad key");
      }
      RETURN_IF_ERROR(visitor(SlotOfKey(it->key()), {it->value().data(), it->value().size()}));
    }
    return internal::FromRocksDb(it->status(), path_);
  }

  absl::Status PutIfAbsent(uint64_t slot, std::string_view bytes) override {
    std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(Usable());
    std::string existing;
    const std::string key = KeyOfSlot(slot);
    const rocksdb::Status found = db_->Get(rocksdb::ReadOptions(), key, &existing);
    if (!found.ok() && !found.IsNotFound()) return internal::FromRocksDb(found, path_);
    if (found.IsNotFound()) {
      Pass(KillPoint::kAppendBegun);
      RETURN_IF_ERROR(Written(db_->Put(Durably(), key, ToSlice(bytes))));
      Pass(KillPoint::kAppendSynced);
    }
    if (found.IsNotFound() || existing == bytes) {
      RETURN_IF_ERROR(Kept(witness_->Note(slot)));
    }
    return found.IsNotFound() ? absl::OkStatus()
                              : absl::AlreadyExistsError(path_ + ": the slot is taken");
  }

  absl::StatusOr<std::string> Get(uint64_t slot) override {
    std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(Usable());
    std::string bytes;
    const rocksdb::Status found = db_->Get(rocksdb::ReadOptions(), KeyOfSlot(slot), &bytes);
    if (found.IsNotFound()) return absl::NotFoundError(path_ + ": no such slot");
    RETURN_IF_ERROR(internal::FromRocksDb(found, path_));
    return bytes;
  }

  absl::Status DeleteUpTo(uint64_t slot) override {
    std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(Usable());
    rocksdb::WriteBatch batch;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(rocksdb::ReadOptions()));
    for (it->SeekToFirst(); it->Valid() && SlotOfKey(it->key()) <= slot; it->Next()) {
      batch.Delete(it->key());
      if (static_cast<size_t>(batch.Count()) < kDeletesPerBatch) continue;
      RETURN_IF_ERROR(Written(db_->Write(rocksdb::WriteOptions(), &batch)));
      batch.Clear();
    }
    RETURN_IF_ERROR(internal::FromRocksDb(it->status(), path_));
    return Written(db_->Write(Durably(), &batch));
  }

  absl::Status CutTail(uint64_t slot, std::string_view bytes) override {
    std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(Usable());
    std::string existing;
    const rocksdb::Status found = db_->Get(rocksdb::ReadOptions(), KeyOfSlot(slot), &existing);
    if (found.IsNotFound() || (found.ok() && existing != bytes)) return absl::OkStatus();
    RETURN_IF_ERROR(internal::FromRocksDb(found, path_));
    return Written(db_->Delete(Durably(), KeyOfSlot(slot)));
  }

  absl::StatusOr<std::optional<uint64_t>> DurableLength() override {
    return witness_->length();
  }

  std::string Where() const override { return "rocksdb:" + path_; }

 private:
  absl::Status OpenDb(bool create) {
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(DbOptions(options_.env, create), path_, &db);
    db_.reset(db);
    if (status.IsIOError() && status.ToString().find("/LOCK:") != std::string::npos) {
      return HeldError("the log is held by a live process: " + path_ + ": " + status.ToString());
    }
    const std::string place = status.ok() ? "" : internal::FindWalDamage(path_);
    return internal::FromRocksDb(status, place.empty() ? path_ : place);
  }

  rocksdb::WriteOptions Durably() const {
    rocksdb::WriteOptions write;
    write.sync = options_.sync;
    return write;
  }

  absl::Status Usable() {
    RETURN_IF_ERROR(broken_);
    return db_ != nullptr ? absl::OkStatus() : OpenDb(false);
  }

  // After a full disk only a fresh start of the database is sure to know what it holds.
  absl::Status Written(const rocksdb::Status& status) {
    return Kept(internal::FromRocksDb(status, path_));
  }
  absl::Status Kept(const absl::Status& status) {
    if (status.ok()) return status;
    if (absl::IsResourceExhausted(status)) {
      db_.reset();
      return status;
    }
    broken_ = IsDamaged(status)  // a compaction has read it
                  ? status
                  : StartAgainError("the driver log is written no further, because what a failed "
                                    "write left on the disk can only be read by a new start: " +
                                    std::string(status.message()));
    return broken_;
  }

  const RocksDbLogOptions options_;
  const std::string directory_;
  const std::string path_;
  std::mutex mutex_;
  OwnerLock owner_;
  std::unique_ptr<WitnessKeeper> witness_;
  std::unique_ptr<rocksdb::DB> db_;
  absl::Status broken_;  // the first failed write that was not for lack of space
};

}  // namespace

absl::StatusOr<std::unique_ptr<LogStore>> OpenRocksDbLogStore(const std::string& directory,
                                                              const RocksDbLogOptions& options) {
  auto store = std::make_unique<RocksDbLogStore>(directory, options);
  RETURN_IF_ERROR(store->Open());
  return store;
}

}  // namespace sluice
