#include "worker/daemon/block_store.h"

#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <vector>

#include "common/crc32c.h"
#include "common/status.h"
#include "worker/daemon/spill_file.h"

namespace sluice {
namespace {

absl::Status NoBlock() { return absl::NotFoundError("no such block"); }

constexpr int64_t kSpillAgainUs = 50'000;  // after a write that failed

uint64_t SegmentBytes(const BlockStore::Options& options) {
  // A small budget is not to hold a large segment for its blocks.
  return std::min(options.segment_bytes, std::max<uint64_t>(options.memory_max, 1 << 20));
}

}  // namespace

BlockStore::BlockStore(const Options& options)
    : options_(options), memory_(SegmentBytes(options)) {
  if (options_.spill_dir.empty()) return;
  disk_ = std::make_unique<EventLoop>(EventLoop::Options{.name = "spill"});
}

absl::StatusOr<std::unique_ptr<BlockStore>> BlockStore::Open(const Options& options) {
  if (!options.spill_dir.empty()) RETURN_IF_ERROR(PrepareSpillDirectory(options.spill_dir));
  return std::unique_ptr<BlockStore>(new BlockStore(options));
}

BlockStore::~BlockStore() {
  StopDisk();
  // What was still to be removed is among them.
  if (disk_ != nullptr) (void)PrepareSpillDirectory(options_.spill_dir);
}

void BlockStore::StopDisk() {
  if (disk_ != nullptr) disk_->Stop();
}

void BlockStore::AwaitDisk() {
  if (disk_ != nullptr) disk_->Sync();
}

std::string BlockStore::PathOf(const BlockKey& key) const {
  char name[96];
  std::snprintf(name, sizeof(name), "/%016" PRIx64 "-%" PRIu64 "-%016" PRIx64 "-%" PRIu64,
                key.job_instance, key.stream, key.incarnation, key.number);
  return options_.spill_dir + name + std::string(kSpillSuffix);
}

char* BlockStore::Bytes(Entry& entry) {
  return options_.shared ? memory_.data(entry.extent) : entry.heap.data();
}

// Has the oldest blocks written until what stays in memory, and `bytes` more, fit the budget.
void BlockStore::BeginSpills(uint64_t bytes) {
  if (!spill_error_.ok() && disk_->clock().MonotonicUs() < spill_not_before_) return;
  for (const BlockKey& key : ages_) {
    if (counters_.memory_bytes - spilling_bytes_ + bytes <= options_.memory_max) return;
    Entry& entry = entries_.at(key);
    if (!entry.ready || entry.pins > 0 || entry.spilling) continue;
    entry.spilling = true;
    spilling_bytes_ += entry.bytes;
    const std::string_view content(Bytes(entry), entry.bytes);
    disk_->PostNow([this, key, content] { Spill(key, content); });
  }
}

void BlockStore::Spill(const BlockKey& key, std::string_view bytes) {
  FinishSpill(key, WriteSpillFile(PathOf(key), bytes));
}

void BlockStore::FinishSpill(const BlockKey& key, const absl::Status& written) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  Entry& entry = found->second;  // what is being written is not erased
  entry.spilling = false;
  spilling_bytes_ -= entry.bytes;
  spill_error_ = written;
  if (!written.ok()) spill_not_before_ = disk_->clock().MonotonicUs() + kSpillAgainUs;
  const bool unwanted = entry.dropped || entry.pins > 0;  // somebody came to read it meanwhile
  if (written.ok() && unwanted) RemoveFile(key);
  if (entry.dropped && entry.pins == 0) {
    Erase(found);
  } else if (written.ok() && !unwanted) {
    FreeMemory(entry);
    entry.on_disk = true;
    counters_.disk_bytes += entry.bytes;
    ++counters_.spilled_blocks;
  }
}

void BlockStore::RemoveFile(const BlockKey& key) {
  disk_->PostNow([path = PathOf(key)] { ::unlink(path.c_str()); });
}

absl::Status BlockStore::MakeRoom(uint64_t bytes) {
  // One block more may always be in memory, however large it is: what readers hold there for as
  // long as they like does not stop the intake.
  const auto over = [&] { return counters_.memory_bytes + bytes > options_.memory_max; };
  if (counters_.memory_bytes == 0 || !over()) return absl::OkStatus();
  if (disk_ == nullptr) {
    return absl::ResourceExhaustedError("the memory for blocks is full and nothing may be spilled");
  }
  BeginSpills(bytes);
  if (!spill_error_.ok()) return spill_error_;
  if (spilling_bytes_ > options_.spill_ahead_max) {
    return absl::ResourceExhaustedError("the memory for blocks is full and the disk is behind");
  }
  return absl::OkStatus();
}

absl::StatusOr<char*> BlockStore::Reserve(const BlockKey& key, uint64_t bytes,
                                           std::string* adopted) {
  std::lock_guard lock(mutex_);
  if (const auto former = entries_.find(key); former != entries_.end()) {
    if (!former->second.dropped) return absl::AlreadyExistsError("a block of that name is there");
    return absl::ResourceExhaustedError("a block of that name was dropped and is still in use");
  }
  absl::Status room = MakeRoom(bytes);
  Entry entry;
  entry.bytes = bytes;
  if (room.ok() && options_.shared) {
    auto extent = memory_.Allocate(bytes);
    if (extent.ok()) {
      entry.extent = *extent;
    } else {
      room = extent.status();
    }
  }
  if (!room.ok()) {  // whatever the cause, a disk that fails or a full one: it may be over later
    ++counters_.refused;
    return absl::ResourceExhaustedError(room.message());
  }
  if (adopted != nullptr) {
    entry.heap = std::move(*adopted);
  } else if (!options_.shared) {
    entry.heap.resize(bytes);
  }
  counters_.memory_bytes += bytes;
  auto placed = entries_.emplace(key, std::move(entry)).first;
  placed->second.age = ages_.insert(ages_.end(), key);
  return Bytes(placed->second);
}

void BlockStore::FreeMemory(Entry& entry) {
  if (options_.shared) {
    memory_.Free(entry.extent);
  } else {
    std::string().swap(entry.heap);
  }
  counters_.memory_bytes -= entry.bytes;
  ages_.erase(entry.age);
}

void BlockStore::Erase(Entries::iterator entry) {
  if (entry->second.on_disk) {
    RemoveFile(entry->first);
    counters_.disk_bytes -= entry->second.bytes;
  } else {
    FreeMemory(entry->second);
  }
  entries_.erase(entry);
}

void BlockStore::Abandon(const BlockKey& key) {
  std::lock_guard lock(mutex_);
  if (auto entry = entries_.find(key); entry != entries_.end()) Erase(entry);
}

BlockStore::Sealed BlockStore::Finish(const BlockKey& key, uint64_t bytes, uint32_t crc32c,
                                      uint32_t records) {
  std::lock_guard lock(mutex_);
  ++counters_.seal_copies;
  counters_.seal_copy_bytes += bytes;
  auto found = entries_.find(key);
  found->second.crc32c = crc32c;
  found->second.ready = true;
  if (found->second.dropped) Erase(found);
  return {bytes, crc32c, records};
}

absl::StatusOr<BlockStore::Sealed> BlockStore::Seal(const BlockKey& key, const BatchView& batch) {
  const uint64_t bytes = EncodedBatchSize(batch);
  ASSIGN_OR_RETURN(char* data, Reserve(key, bytes));
  EncodeBatchTo(batch, data);
  std::vector<uint32_t> scratch;
  const std::string_view encoded(data, bytes);
  const auto decoded = DecodeBatch(encoded, scratch);
  if (!decoded.has_value()) {
    Abandon(key);
    return absl::InvalidArgumentError("what was sealed is no record batch");
  }
  return Finish(key, bytes, Crc32c(encoded), decoded->count);
}

absl::StatusOr<BlockStore::Sealed> BlockStore::SealEncoded(const BlockKey& key,
                                                           std::string* encoded) {
  std::vector<uint32_t> scratch;
  const auto decoded = DecodeBatch(*encoded, scratch);
  if (!decoded.has_value()) return absl::InvalidArgumentError("what was sealed is no record batch");
  const uint32_t records = decoded->count;
  const uint64_t bytes = encoded->size();
  const bool stays = !options_.shared && options_.spill_dir.empty();
  const uint32_t crc32c = stays ? 0 : Crc32c(*encoded);
  ASSIGN_OR_RETURN(char* data, Reserve(key, bytes, options_.shared ? nullptr : encoded));
  if (options_.shared) std::memcpy(data, encoded->data(), bytes);
  return Finish(key, bytes, crc32c, records);
}

absl::Status BlockStore::PutCopy(const BlockKey& key, std::string_view encoded, uint32_t crc32c) {
  if (Crc32c(encoded) != crc32c) return absl::DataLossError("a copy of a block came damaged");
  ASSIGN_OR_RETURN(char* data, Reserve(key, encoded.size()));
  std::memcpy(data, encoded.data(), encoded.size());
  Finish(key, encoded.size(), crc32c, 0);
  return absl::OkStatus();
}

absl::StatusOr<BlockStore::Reading> BlockStore::Read(const BlockKey& key) {
  Reading reading;
  uint64_t bytes = 0;
  {
    std::lock_guard lock(mutex_);
    auto found = entries_.find(key);
    if (found == entries_.end() || !found->second.ready || found->second.dropped) return NoBlock();
    Entry& entry = found->second;
    reading.crc32c_ = entry.crc32c;
    bytes = entry.bytes;
    if (!entry.on_disk) {
      ++entry.pins;
      reading.bytes_ = {Bytes(entry), entry.bytes};
      reading.key_ = key;
      reading.store_ = this;
      return reading;
    }
    ++counters_.read_copies;
  }
  // A file is whole as long as its block is not dropped, and then nobody needs it.
  absl::StatusOr<std::string> content = ReadSpillFile(PathOf(key), bytes, reading.crc32c_);
  RETURN_IF_ERROR(Judge(key, content.status()));
  reading.own_ = std::make_unique<std::string>(*std::move(content));
  return reading;
}

absl::Status BlockStore::Judge(const BlockKey& key, const absl::Status& read) {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(key);
  if (found == entries_.end() || found->second.dropped) return NoBlock();
  if (!absl::IsDataLoss(read)) {
    if (read.ok()) found->second.bad_reads = 0;
    return read;
  }
  const bool believed = ++found->second.bad_reads >= kBadReadsMax;
  return believed ? read : absl::UnavailableError(read.message());
}

absl::Status BlockStore::Reading::Check() const {
  if (own_ != nullptr || crc32c_ == 0 || Crc32c(bytes_) == crc32c_) return absl::OkStatus();
  return absl::DataLossError("the block is damaged in memory");
}

void BlockStore::ReadThen(const BlockKey& key, ReadDone done) {
  bool on_disk = false;
  {
    std::lock_guard lock(mutex_);
    auto found = entries_.find(key);
    on_disk = found != entries_.end() && found->second.on_disk;
  }
  if (!on_disk) return done(Read(key));
  disk_->PostNow([this, key, done = std::move(done)] { done(Read(key)); });
}

FdSource::Found BlockStore::Pin(const BlockKey& key, MappableBlock* block) {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(key);
  if (found == entries_.end() || !found->second.ready || found->second.dropped) {
    return FdSource::Found::kNotFound;
  }
  Entry& entry = found->second;
  if (entry.on_disk || !options_.shared) return FdSource::Found::kElsewhere;
  ++entry.pins;
  block->extent = entry.extent;
  block->segment = *memory_.segment(entry.extent.segment);
  block->crc32c = entry.crc32c;
  return FdSource::Found::kMapped;
}

void BlockStore::Unpin(const BlockKey& key) {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(key);
  if (found == entries_.end() || found->second.pins == 0) return;
  const bool unused = --found->second.pins == 0 && !found->second.spilling;
  if (unused && found->second.dropped) Erase(found);
}

void BlockStore::Drop(const BlockKey& key) {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(key);
  if (found == entries_.end()) return;
  if (found->second.pins > 0 || !found->second.ready || found->second.spilling) {
    found->second.dropped = true;
  } else {
    Erase(found);
  }
}

void BlockStore::DropJob(uint64_t job_instance) {
  std::vector<BlockKey> keys;
  {
    std::lock_guard lock(mutex_);
    const BlockKey first{.job_instance = job_instance};
    for (auto it = entries_.lower_bound(first);
         it != entries_.end() && it->first.job_instance == job_instance; ++it) {
      keys.push_back(it->first);
    }
  }
  for (const BlockKey& key : keys) Drop(key);
}

bool BlockStore::Contains(const BlockKey& key) const {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(key);
  return found != entries_.end() && found->second.ready && !found->second.dropped;
}

BlockStoreCounters BlockStore::counters() const {
  std::lock_guard lock(mutex_);
  BlockStoreCounters counters = counters_;
  counters.blocks = entries_.size();
  return counters;
}

uint64_t BlockStore::total_bytes() const {
  std::lock_guard lock(mutex_);
  return counters_.memory_bytes + counters_.disk_bytes;
}

}  // namespace sluice
