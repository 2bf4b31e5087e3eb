#include "checkpoint/rocksdb_log_follower.h"

#include <utility>

#include "checkpoint/rocksdb_slot_key.h"
#include "checkpoint/rocksdb_status.h"
#include "common/status.h"
#include "rocksdb/db.h"

namespace sluice {
namespace {

rocksdb::Options DbOptions() {
  rocksdb::Options options;
  options.max_open_files = -1;  // so that files which the writer deletes can be read on
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.keep_log_file_num = 2;
  options.stats_dump_period_sec = 0;
  return options;
}

}  // namespace

RocksDbLogFollower::RocksDbLogFollower(std::string directory, std::string scratch,
                                       uint64_t first_slot)
    : path_(std::move(directory) + "/log"),
      scratch_(std::move(scratch)),
      chain_(first_slot, "rocksdb:" + path_) {}

RocksDbLogFollower::~RocksDbLogFollower() = default;

absl::StatusOr<std::vector<FollowedRecord>> RocksDbLogFollower::CatchUp() {
  const absl::Status fresh = Refresh();
  if (!fresh.ok()) {
    // The files changed under a reader, as when the writer starts anew: look again from scratch.
    db_.reset();
    return absl::UnavailableError(fresh.message());
  }
  return ReadNew();
}

absl::Status RocksDbLogFollower::Refresh() {
  if (db_ == nullptr) {
    rocksdb::DB* db = nullptr;
    const rocksdb::Status opened =
        rocksdb::DB::OpenAsSecondary(DbOptions(), path_, scratch_, &db);
    db_.reset(db);
    RETURN_IF_ERROR(internal::FromRocksDb(opened, path_));
  }
  return internal::FromRocksDb(db_->TryCatchUpWithPrimary(), path_);
}

absl::StatusOr<std::vector<FollowedRecord>> RocksDbLogFollower::ReadNew() {
  std::vector<std::pair<uint64_t, std::string>> slots;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(rocksdb::ReadOptions()));
  for (it->Seek(internal::KeyOfSlot(chain_.next_slot())); it->Valid(); it->Next()) {
    slots.emplace_back(internal::SlotOfKey(it->key()), it->value().ToString());
  }
  if (!it->status().ok()) {
    db_.reset();
    return absl::UnavailableError(it->status().ToString());
  }
  std::vector<FollowedRecord> records;
  for (const auto& [slot, bytes] : slots) {
    ASSIGN_OR_RETURN(LogRecord record, chain_.Decode(slot, bytes));
    ASSIGN_OR_RETURN(const LogChain::Verdict verdict, chain_.Follow(slot, record));
    records.push_back({std::move(record), verdict == LogChain::Verdict::kLive});
  }
  return records;
}

}  // namespace sluice
