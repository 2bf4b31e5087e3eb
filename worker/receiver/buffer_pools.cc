#include "worker/receiver/buffer_pools.h"

#include <algorithm>
#include <set>
#include <string>

#include "common/encoded_batch.h"

namespace sluice {
namespace {

// Offsets from here on name buffers outside of the arena.
constexpr uint64_t kInlined = uint64_t{1} << 63;

class HeapPool : public BufferPool {
 public:
  HeapPool(const HeapPoolOptions& options, bool lossless)
      : options_(options), lossless_(lossless) {}
  std::unique_ptr<OpenBuffer> Open(const BufferOwner& owner, uint64_t record_bytes) override;
  void Free(uint64_t arena_offset) override { used_.erase(arena_offset); }
  bool lossless() const override { return lossless_; }

 private:
  class Buffer;
  const HeapPoolOptions options_;
  const bool lossless_;
  uint64_t next_ = kInlined;
  std::set<uint64_t> used_;
};

class HeapPool::Buffer : public OpenBuffer {
 public:
  Buffer(HeapPool* pool, uint64_t id, const BufferOwner& owner, uint64_t bytes_max,
         uint32_t records_max)
      : pool_(pool), id_(id), owner_(owner), bytes_max_(bytes_max), records_max_(records_max) {}
  ~Buffer() override {
    if (!sealed_) pool_->Free(id_);
  }
  bool Append(std::string_view record) override {
    if (batch_.count() == records_max_) return false;
    if (record.size() > bytes_max_ - batch_.size()) return false;
    batch_.Append(record);
    return true;
  }
  uint32_t AppendFrom(const BatchView& records, uint32_t from) override {
    if (batch_.count() == 0 && owner_.bytes_hint > 0) {
      batch_.Reserve(std::min(owner_.bytes_hint, bytes_max_),
                     std::min(owner_.records_hint, records_max_));
    }
    const uint32_t fit = RecordsThatFit(records, from, bytes_max_ - batch_.size(),
                                        records_max_ - batch_.count());
    batch_.Append(records, from, from + fit);
    return fit;
  }
  bool Adopt(EncodedBatch& batch) override {
    if (batch_.count() != 0 || batch.size() > bytes_max_ || batch.count() > records_max_) {
      return false;
    }
    batch_ = std::move(batch);
    return true;
  }
  uint32_t records() const override { return batch_.count(); }
  void Seal(uint64_t, proto::SealSlices::Slice* slice) override {
    sealed_ = true;
    slice->set_arena_offset(id_);
    slice->set_length(batch_.size());
    slice->set_inlined(batch_.Take());
  }

 private:
  HeapPool* const pool_;
  const uint64_t id_;
  const BufferOwner owner_;
  const uint64_t bytes_max_;
  const uint32_t records_max_;
  bool sealed_ = false;
  EncodedBatch batch_;
};

std::unique_ptr<OpenBuffer> HeapPool::Open(const BufferOwner& owner, uint64_t record_bytes) {
  if (used_.size() >= options_.buffers) return nullptr;
  const uint64_t id = next_++;
  used_.insert(id);
  const uint64_t bytes = std::min(owner.bytes_hint, options_.store_bytes);
  const uint32_t records = std::min(owner.records_hint, options_.store_records);
  return std::make_unique<Buffer>(this, id, owner,
                                  std::max({options_.block_bytes, record_bytes, bytes}),
                                  std::max(options_.block_records, records));
}

class ArenaPool : public BufferPool {
 public:
  explicit ArenaPool(ArenaWriter arena)
      : arena_(std::move(arena)), large_({.buffers = 2}, /*lossless=*/false) {}
  std::unique_ptr<OpenBuffer> Open(const BufferOwner& owner, uint64_t record_bytes) override;
  void Free(uint64_t arena_offset) override {
    if (arena_offset >= kInlined) {
      large_.Free(arena_offset);
    } else {
      arena_.Free(arena_offset);
    }
  }
  bool lossless() const override { return false; }

 private:
  class Buffer;
  ArenaWriter arena_;
  HeapPool large_;
};

class ArenaPool::Buffer : public OpenBuffer {
 public:
  Buffer(ArenaPool* pool, const SliceWriter& slice) : pool_(pool), slice_(slice) {}
  ~Buffer() override {
    if (!sealed_) pool_->arena_.Free(slice_.offset());
  }
  bool Append(std::string_view record) override { return slice_.Append(record); }
  uint32_t AppendFrom(const BatchView& batch, uint32_t from) override {
    return slice_.AppendFrom(batch, from);
  }
  bool Adopt(EncodedBatch&) override { return false; }  // a slice is shared memory
  uint32_t records() const override { return slice_.records(); }
  void Seal(uint64_t number, proto::SealSlices::Slice* slice) override {
    sealed_ = true;
    pool_->arena_.MarkSealed(slice_, number);
    slice->set_arena_offset(slice_.offset());
    slice->set_length(slice_.bytes());
  }

 private:
  ArenaPool* const pool_;
  SliceWriter slice_;
  bool sealed_ = false;
};

std::unique_ptr<OpenBuffer> ArenaPool::Open(const BufferOwner& owner, uint64_t record_bytes) {
  if (record_bytes > arena_.shape().bytes_max()) return large_.Open(owner, record_bytes);
  auto slice = arena_.Open({owner.stream, owner.incarnation, owner.reliable, 0});
  if (!slice.has_value()) return nullptr;
  return std::make_unique<Buffer>(this, *slice);
}

}  // namespace

std::unique_ptr<BufferPool> NewArenaPool(ArenaWriter arena) {
  return std::make_unique<ArenaPool>(std::move(arena));
}

std::unique_ptr<BufferPool> NewHeapPool(const HeapPoolOptions& options) {
  return std::make_unique<HeapPool>(options, /*lossless=*/true);
}

}  // namespace sluice
