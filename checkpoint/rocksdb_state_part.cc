#include "checkpoint/rocksdb_state_part.h"

#include <algorithm>
#include <map>
#include <utility>

#include "checkpoint/rocksdb_status.h"
#include "checkpoint/state_pieces.h"
#include "common/status.h"
#include "rocksdb/convenience.h"
#include "rocksdb/env.h"
#include "rocksdb/options.h"
#include "rocksdb/sst_file_reader.h"
#include "rocksdb/sst_file_writer.h"
#include "rocksdb/table.h"

namespace sluice {
namespace {

using internal::FrameReader;
using internal::ByteWriter;

constexpr char kPath[] = "/part.sst";  // in a file system in memory that holds nothing else
constexpr uint32_t kVersion = 1;

// The first key, below those of all operators, whose names are not empty. Its value lists the
// pieces and their entries' counts, so that nothing that is missing goes unnoticed.
const std::string& TableOfContentsKey() {
  static const std::string key(2, '\0');
  return key;
}

void AppendBigEndian(uint32_t value, int bytes, std::string* key) {
  for (int i = bytes - 1; i >= 0; --i) key->push_back(static_cast<char>(value >> (8 * i)));
}

std::string PrefixOf(const std::string& operator_name, uint32_t partition) {
  std::string key;
  AppendBigEndian(static_cast<uint32_t>(operator_name.size()), 2, &key);
  key += operator_name;
  AppendBigEndian(partition, 4, &key);
  return key;
}

rocksdb::CompressionType BestCompression() {
  const std::vector<rocksdb::CompressionType> all = rocksdb::GetSupportedCompressions();
  for (auto wanted : {rocksdb::kZSTD, rocksdb::kLZ4Compression, rocksdb::kSnappyCompression}) {
    for (rocksdb::CompressionType type : all) {
      if (type == wanted) return type;
    }
  }
  return rocksdb::kNoCompression;
}

rocksdb::Options FileOptionsFor(rocksdb::Env* env) {
  rocksdb::Options options;
  options.env = env;
  options.compression = BestCompression();
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

std::string EncodeTableOfContents(const std::vector<StatePiece>& pieces) {
  ByteWriter writer;
  writer.U32(kVersion);
  writer.U32(static_cast<uint32_t>(pieces.size()));
  for (const StatePiece& piece : pieces) {
    writer.String(PrefixOf(piece.operator_name, piece.partition));
    writer.U64(piece.entries.size());
  }
  return writer.Take();
}

class RocksDbReader : public StatePartReader {
 public:
  static absl::StatusOr<std::unique_ptr<StatePartReader>> Open(std::string name,
                                                               const std::string& bytes) {
    std::unique_ptr<RocksDbReader> reader(new RocksDbReader(std::move(name)));
    RETURN_IF_ERROR(reader->Load(bytes));
    return reader;
  }

  absl::Status Read(const std::string& operator_name, uint32_t partition,
                    const Visitor& visitor) override {
    const std::string prefix = PrefixOf(operator_name, partition);
    const auto found = counts_.find(prefix);
    if (found == counts_.end()) return absl::NotFoundError(name_ + " without " + operator_name);
    return ReadPiece(prefix, found->second, visitor);
  }

  absl::Status Verify() override {
    RETURN_IF_ERROR(Checked(sst_.VerifyChecksum()));
    for (const auto& [prefix, count] : counts_) {
      RETURN_IF_ERROR(
          ReadPiece(prefix, count, [](StateEntry&&) { return absl::OkStatus(); }));
    }
    return absl::OkStatus();
  }

 private:
  explicit RocksDbReader(std::string name)
      : name_(std::move(name)),
        env_(rocksdb::NewMemEnv(rocksdb::Env::Default())),
        sst_(FileOptionsFor(env_.get())) {}

  absl::Status Load(const std::string& bytes) {
    RETURN_IF_ERROR(Checked(rocksdb::WriteStringToFile(env_.get(), bytes, kPath)));
    const rocksdb::Status opened = sst_.Open(kPath);
    if (!opened.ok()) return Damage(opened.ToString());  // any file can be opened in memory
    const std::unique_ptr<rocksdb::Iterator> it(sst_.NewIterator(ReadOptions()));
    it->SeekToFirst();
    RETURN_IF_ERROR(Checked(it->status()));
    if (!it->Valid() || it->key() != TableOfContentsKey()) return Damage("no table of contents");
    return LoadTableOfContents({it->value().data(), it->value().size()});
  }

  absl::Status LoadTableOfContents(std::string_view bytes) {
    FrameReader reader(bytes);
    if (reader.U32() != kVersion) reader.Fail("unknown version");
    const uint32_t count = reader.Count(12);
    for (uint32_t i = 0; i < count && reader.ok(); ++i) {
      std::string prefix(reader.String());
      counts_[std::move(prefix)] = reader.U64();
    }
    const absl::Status status = reader.Finish("table of contents");
    return status.ok() ? status : Damage(std::string(Message(status)));
  }

  absl::Status ReadPiece(const std::string& prefix, uint64_t count, const Visitor& visitor) {
    const std::unique_ptr<rocksdb::Iterator> it(sst_.NewIterator(ReadOptions()));
    uint64_t found = 0;
    for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next(), ++found) {
      StateEntry entry;
      entry.key.assign(it->key().data() + prefix.size(), it->key().size() - prefix.size());
      FrameReader value({it->value().data(), it->value().size()});
      internal::ReadEntryValue(&value, &entry);
      const absl::Status status = value.Finish("entry");
      if (!status.ok()) return Damage(std::string(Message(status)));
      RETURN_IF_ERROR(visitor(std::move(entry)));
    }
    RETURN_IF_ERROR(Checked(it->status()));
    if (found == count) return absl::OkStatus();
    return Damage(std::to_string(found) + " entries instead of " + std::to_string(count));
  }

  static rocksdb::ReadOptions ReadOptions() {
    rocksdb::ReadOptions options;
    options.verify_checksums = true;
    options.fill_cache = false;
    options.total_order_seek = true;
    return options;
  }

  absl::Status Checked(const rocksdb::Status& status) const {
    return internal::FromRocksDb(status, name_);
  }
  absl::Status Damage(const std::string& what) const {
    return DamagedError("checkpoint damaged: " + name_ + ": " + what);
  }

  const std::string name_;
  std::unique_ptr<rocksdb::Env> env_;
  rocksdb::SstFileReader sst_;
  std::map<std::string, uint64_t> counts_;  // entries by key prefix
};

class RocksDbCodec : public StatePartCodec {
 public:
  absl::StatusOr<std::string> Encode(std::vector<StatePiece> pieces) const override {
    RETURN_IF_ERROR(internal::SortPieces(&pieces));
    // Keys are ordered by the length of the operator's name first.
    std::stable_sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) {
      return a.operator_name.size() < b.operator_name.size();
    });
    const std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
    RETURN_IF_ERROR(Write(pieces, env.get()));
    std::string bytes;
    RETURN_IF_ERROR(internal::FromRocksDb(rocksdb::ReadFileToString(env.get(), kPath, &bytes),
                                          "state part"));
    return bytes;
  }

  absl::StatusOr<std::unique_ptr<StatePartReader>> Open(std::string name,
                                                        std::string bytes) const override {
    return RocksDbReader::Open(std::move(name), bytes);
  }

 private:
  static absl::Status Write(const std::vector<StatePiece>& pieces, rocksdb::Env* env) {
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), FileOptionsFor(env));
    rocksdb::Status status = writer.Open(kPath);
    if (status.ok()) status = writer.Put(TableOfContentsKey(), EncodeTableOfContents(pieces));
    for (const StatePiece& piece : pieces) {
      std::string key = PrefixOf(piece.operator_name, piece.partition);
      const size_t prefix_bytes = key.size();
      for (size_t i = 0; i < piece.entries.size() && status.ok(); ++i) {
        const StateEntries::Encoded entry = piece.entries[i];
        key.resize(prefix_bytes);
        key += entry.key;
        status = writer.Put(key, {entry.value.data(), entry.value.size()});
      }
    }
    if (status.ok()) status = writer.Finish();
    return internal::FromRocksDb(status, "state part");
  }
};

}  // namespace

std::unique_ptr<StatePartCodec> NewRocksDbStatePartCodec() {
  return std::make_unique<RocksDbCodec>();
}

}  // namespace sluice
