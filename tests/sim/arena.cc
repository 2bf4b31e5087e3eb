#include "tests/sim/arena.h"

#include <utility>

namespace sluice::sim {

class SimArena::Buffer : public OpenBuffer {
 public:
  Buffer(SimArena* arena, uint64_t at, std::unique_ptr<OpenBuffer> buffer)
      : arena_(arena), at_(at), buffer_(std::move(buffer)) {}
  ~Buffer() override { arena_->slices_.erase(at_); }
  bool Append(std::string_view record) override {
    if (!buffer_->Append(record)) return false;
    slice().records.Append(record);
    return true;
  }
  uint32_t AppendFrom(const BatchView& batch, uint32_t from) override {
    const uint32_t fit = buffer_->AppendFrom(batch, from);
    for (uint32_t i = from; i < from + fit; ++i) slice().records.Append(batch.record(i));
    return fit;
  }
  bool Adopt(EncodedBatch&) override { return false; }
  uint32_t records() const override { return buffer_->records(); }
  void Seal(uint64_t number, proto::SealSlices::Slice* sealed) override {
    buffer_->Seal(number, sealed);
    auto slice = arena_->slices_.extract(at_);
    slice.mapped().number = number;
    slice.key() = sealed->arena_offset();
    arena_->slices_.insert(std::move(slice));
  }

 private:
  Slice& slice() { return arena_->slices_.at(at_); }

  SimArena* const arena_;
  const uint64_t at_;
  const std::unique_ptr<OpenBuffer> buffer_;
};

class SimArena::Pool : public BufferPool {
 public:
  Pool(SimArena* arena, std::unique_ptr<BufferPool> pool)
      : arena_(arena), pool_(std::move(pool)) {}
  std::unique_ptr<OpenBuffer> Open(const BufferOwner& owner, uint64_t record_bytes) override {
    auto buffer = pool_->Open(owner, record_bytes);
    if (buffer == nullptr) return nullptr;
    const uint64_t at = arena_->next_open_++;
    arena_->slices_[at].owner = owner;
    return std::make_unique<Buffer>(arena_, at, std::move(buffer));
  }
  void Free(uint64_t arena_offset) override {
    arena_->slices_.erase(arena_offset);
    pool_->Free(arena_offset);
  }
  bool lossless() const override { return pool_->lossless(); }

 private:
  SimArena* const arena_;
  const std::unique_ptr<BufferPool> pool_;
};

std::unique_ptr<BufferPool> SimArena::NewPool(std::unique_ptr<BufferPool> pool) {
  return std::make_unique<Pool>(this, std::move(pool));
}

std::vector<worker::LeftInArena> SimArena::Left(uint64_t job_instance) const {
  std::vector<worker::LeftInArena> left;
  for (const auto& [at, slice] : slices_) {
    const BlockKey key{.job_instance = job_instance,
                       .incarnation = slice.owner.incarnation,
                       .number = slice.number,
                       .stream = slice.owner.stream};
    left.push_back({key, slice.owner.reliable, at, slice.records.view().count});
  }
  return left;
}

std::map<uint64_t, std::string> SimArena::Bytes() const {
  std::map<uint64_t, std::string> all;
  for (const auto& [at, slice] : slices_) EncodeBatch(slice.records.view(), all[at]);
  return all;
}

}  // namespace sluice::sim
