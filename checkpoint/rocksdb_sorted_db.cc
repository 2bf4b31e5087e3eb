#include "checkpoint/rocksdb_sorted_db.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "common/ascending_order.h"
#include "rocksdb/cache.h"
#include "rocksdb/convenience.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/options.h"
#include "rocksdb/table.h"
#include "rocksdb/write_batch.h"

namespace sluice {
namespace {

rocksdb::Slice SliceOf(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view ViewOf(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

absl::Status Checked(const rocksdb::Status& status, const std::string& where) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = "the state in " + where + ": " + status.ToString();
  return status.IsNoSpace() ? absl::ResourceExhaustedError(message)
                            : absl::InternalError(message);
}

// The first key behind all that begin with `prefix`, which is not all 0xff.
std::string EndOf(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) ++end.back();
  return end;
}

class Cursor final : public SortedCursor {
 public:
  Cursor(rocksdb::DB& db, const rocksdb::Snapshot* snapshot, std::string_view prefix,
         std::string_view from, const std::string& where)
      : prefix_bytes_(prefix.size()), end_(EndOf(prefix)), end_slice_(end_), where_(where) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    options.iterate_upper_bound = &end_slice_;
    options.fill_cache = false;
    options.readahead_size = 256 << 10;
    it_.reset(db.NewIterator(options));
    it_->Seek(std::string(prefix).append(from));
  }
  bool Next(std::string_view& key, std::string_view& value) override {
    if (std::exchange(begun_, true) && it_->Valid()) it_->Next();
    if (!it_->Valid()) return false;
    key = ViewOf(it_->key()).substr(prefix_bytes_);
    value = ViewOf(it_->value());
    return true;
  }
  absl::Status status() const override { return Checked(it_->status(), where_); }

 private:
  const size_t prefix_bytes_;
  const std::string end_;
  const rocksdb::Slice end_slice_;
  const std::string where_;
  bool begun_ = false;
  std::unique_ptr<rocksdb::Iterator> it_;
};

// In the order of the keys, so that a block is read once for all that are in it, and some at a
// time: what is found pins its block.
absl::Status GetManyOf(rocksdb::DB& db, const rocksdb::Snapshot* snapshot,
                       std::span<const std::string_view> keys, const SortedReads::Found& found,
                       const std::string& where) {
  constexpr size_t kAtOnce = 128;
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  const std::vector<uint32_t> order = AscendingOrder(keys);
  const size_t at_once = std::min(keys.size(), kAtOnce);
  std::vector<rocksdb::Slice> slices(at_once);
  std::vector<rocksdb::PinnableSlice> values(at_once);
  std::vector<rocksdb::Status> statuses(at_once);
  for (size_t first = 0; first < keys.size(); first += at_once) {
    const size_t count = std::min(at_once, keys.size() - first);
    for (size_t i = 0; i < count; ++i) slices[i] = SliceOf(keys[order[first + i]]);
    db.MultiGet(options, db.DefaultColumnFamily(), count, slices.data(), values.data(),
                statuses.data(), /*sorted_input=*/true);
    for (size_t i = 0; i < count; ++i) {
      if (statuses[i].IsNotFound()) {
        found(order[first + i], {});
      } else if (statuses[i].ok()) {
        found(order[first + i], ViewOf(values[i]));
      } else {
        return Checked(statuses[i], where);
      }
      values[i].Reset();
    }
  }
  return absl::OkStatus();
}

class SnapshotReads final : public SortedReads {
 public:
  SnapshotReads(rocksdb::DB& db, const std::string& where)
      : db_(db), where_(where), snapshot_(db.GetSnapshot()) {}
  ~SnapshotReads() override { db_.ReleaseSnapshot(snapshot_); }
  absl::Status GetMany(std::span<const std::string_view> keys, const Found& found) override {
    return GetManyOf(db_, snapshot_, keys, found, where_);
  }
  std::unique_ptr<SortedCursor> Walk(std::string_view prefix, std::string_view from) override {
    return std::make_unique<Cursor>(db_, snapshot_, prefix, from, where_);
  }

 private:
  rocksdb::DB& db_;
  const std::string where_;
  const rocksdb::Snapshot* const snapshot_;
};

class Batch final : public SortedBatch {
 public:
  void Put(std::string_view key, std::string_view value) override {
    (void)changes.Put(SliceOf(key), SliceOf(value));  // cannot fail without a bound of its size
  }
  void Remove(std::string_view key) override { (void)changes.Delete(SliceOf(key)); }
  uint64_t bytes() const override { return changes.GetDataSize(); }

  rocksdb::WriteBatch changes;
};

rocksdb::Options OptionsFor(const RocksDbSortedOptions& from, rocksdb::Env* env) {
  rocksdb::Options options;
  options.env = env;
  options.create_if_missing = true;
  options.error_if_exists = true;
  options.avoid_flush_during_shutdown = true;
  options.info_log_level = rocksdb::FATAL_LEVEL;
  options.keep_log_file_num = 1;
  options.max_open_files = 512;
  options.write_buffer_size = std::max<uint64_t>(from.memory / 6, 64 << 10);
  options.max_write_buffer_number = 2;
  options.memtable_whole_key_filtering = true;
  options.memtable_prefix_bloom_size_ratio = 0.03;
  options.target_file_size_base = std::max<uint64_t>(options.write_buffer_size, 1 << 20);
  options.compression = rocksdb::kNoCompression;
  for (const rocksdb::CompressionType type : rocksdb::GetSupportedCompressions()) {
    if (type == rocksdb::kLZ4Compression) options.compression = type;
  }
  rocksdb::BlockBasedTableOptions table;
  // Four shards, as a filter that does not fit into its own is read from disk each time. Files are
  // about as large as what is written at once, so that it does.
  table.block_cache = rocksdb::NewLRUCache(from.memory * 2 / 3, 2);
  table.cache_index_and_filter_blocks = true;
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  if (from.tiny_triggers) {
    options.write_buffer_size = 64 << 10;
    options.level0_file_num_compaction_trigger = 2;
    options.level0_slowdown_writes_trigger = 2;
    options.level0_stop_writes_trigger = 3;
    options.max_bytes_for_level_base = 256 << 10;
    options.delayed_write_rate = 1 << 20;
  }
  return options;
}

class RocksDbSorted final : public SortedDb {
 public:
  static absl::StatusOr<std::unique_ptr<SortedDb>> Open(RocksDbSortedOptions options) {
    std::unique_ptr<RocksDbSorted> db(new RocksDbSorted(std::move(options)));
    const absl::Status opened = db->DoOpen();
    if (!opened.ok()) return opened;
    return db;
  }
  ~RocksDbSorted() override {
    if (db_ != nullptr) (void)db_->Close();
    db_.reset();
    std::error_code ignored;
    if (env_ == nullptr) std::filesystem::remove_all(options_.dir, ignored);
  }

  absl::Status GetMany(std::span<const std::string_view> keys, const Found& found) override {
    return GetManyOf(*db_, nullptr, keys, found, where_);
  }
  std::unique_ptr<SortedCursor> Walk(std::string_view prefix, std::string_view from) override {
    return std::make_unique<Cursor>(*db_, nullptr, prefix, from, where_);
  }
  std::unique_ptr<SortedBatch> NewBatch() override { return std::make_unique<Batch>(); }
  absl::Status Apply(SortedBatch& batch) override {
    rocksdb::WriteBatch& changes = static_cast<Batch&>(batch).changes;
    const absl::Status written = Checked(db_->Write(Unlogged(), &changes), where_);
    changes.Clear();
    return written;
  }
  absl::Status DropPrefix(std::string_view prefix) override {
    return Checked(db_->DeleteRange(Unlogged(), db_->DefaultColumnFamily(), SliceOf(prefix),
                                    EndOf(prefix)),
                   where_);
  }
  std::unique_ptr<SortedReads> Snapshot() override {
    return std::make_unique<SnapshotReads>(*db_, where_);
  }

 private:
  explicit RocksDbSorted(RocksDbSortedOptions options)
      : options_(std::move(options)), where_(options_.dir.empty() ? "memory" : options_.dir) {
    if (options_.dir.empty()) env_.reset(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  }
  absl::Status DoOpen() {
    std::error_code error;
    if (env_ == nullptr) std::filesystem::create_directories(options_.dir, error);
    if (error) return absl::InternalError("the state in " + where_ + ": " + error.message());
    rocksdb::DB* db = nullptr;
    rocksdb::Env* env = env_ != nullptr ? env_.get() : rocksdb::Env::Default();
    const rocksdb::Status opened =
        rocksdb::DB::Open(OptionsFor(options_, env), env_ != nullptr ? "/state" : where_, &db);
    db_.reset(db);
    return Checked(opened, where_);
  }
  // What is lost with the process is lost: a checkpoint has it.
  static rocksdb::WriteOptions Unlogged() {
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    return options;
  }

  const RocksDbSortedOptions options_;
  const std::string where_;
  std::unique_ptr<rocksdb::Env> env_;  // in memory
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SortedDb>> OpenRocksDbSorted(RocksDbSortedOptions options) {
  return RocksDbSorted::Open(std::move(options));
}

}  // namespace sluice
