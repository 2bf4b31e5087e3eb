#include "worker/shm/arena.h"

#include <algorithm>
#include <cstring>

#include "common/encoded_batch.h"

namespace sluice {

absl::StatusOr<ArenaHost> ArenaHost::Make(const ArenaShape& shape) {
  if (!shape.valid()) return absl::InvalidArgumentError("an arena of that shape cannot be made");
  auto fd = NewMemoryFile("sluice-arena", shape.total_bytes());
  if (!fd.ok()) return fd.status();
  if (auto backed = Commit(fd->get(), 0, shape.total_bytes()); !backed.ok()) return backed;
  auto mapping = Mapping::Map(fd->get(), shape.total_bytes(), /*writable=*/true);
  if (!mapping.ok()) return mapping.status();
  std::memset(mapping->data(), 0, mapping->bytes());
  ArenaHost host;
  host.shape_ = shape;
  host.fd_ = std::move(*fd);
  host.mapping_ = std::move(*mapping);
  return host;
}

std::optional<BatchView> ArenaHost::View(uint64_t offset, uint32_t records) const {
  if (offset < shape_.directory_bytes()) return std::nullopt;
  const uint64_t within = offset - shape_.directory_bytes();
  if (within % shape_.slice_bytes != 0 || within / shape_.slice_bytes >= shape_.slices) {
    return std::nullopt;
  }
  const auto index = static_cast<uint32_t>(within / shape_.slice_bytes);
  const auto* header = reinterpret_cast<const SliceHeader*>(mapping_.data()) + index;
  const char* data = mapping_.data() + offset;
  BatchView view{data, 0, nullptr, records, header->fixed_size};
  if (view.fixed_size != 0) {
    view.size = uint64_t{records} * view.fixed_size;
  } else if (records > shape_.records_max()) {
    return std::nullopt;
  } else {
    view.ends = reinterpret_cast<const uint32_t*>(data + shape_.bytes_max());
    view.size = records == 0 ? 0 : view.ends[records - 1];
  }
  if (view.size > shape_.bytes_max()) return std::nullopt;
  return view;
}

std::vector<LeftSlice> ArenaHost::Left() const {
  std::vector<LeftSlice> left;
  const auto* headers = reinterpret_cast<const SliceHeader*>(mapping_.data());
  for (uint32_t i = 0; i < shape_.slices; ++i) {
    const SliceHeader& header = headers[i];
    const uint32_t state = header.state.load(std::memory_order_acquire);
    if (state != static_cast<uint32_t>(SliceState::kOpen) &&
        state != static_cast<uint32_t>(SliceState::kSealed)) {
      continue;
    }
    left.push_back({static_cast<SliceState>(state), header.stream, header.incarnation,
                    header.number, header.reliable != 0, shape_.slice_offset(i),
                    header.records.load(std::memory_order_acquire)});
  }
  return left;
}

bool SliceWriter::Append(std::string_view record) {
  if (record.size() > bytes_max_ - size_) return false;
  if (fixed_size_ == 0) {
    if (records_ == records_max_) return false;
    ends_[records_] = size_ + static_cast<uint32_t>(record.size());
  }
  std::memcpy(data_ + size_, record.data(), record.size());
  size_ += static_cast<uint32_t>(record.size());
  header_->records.store(++records_, std::memory_order_release);
  return true;
}

uint32_t SliceWriter::AppendFrom(const BatchView& batch, uint32_t from) {
  const uint32_t room = fixed_size_ == 0 ? records_max_ - records_ : batch.count - from;
  const uint32_t fit = RecordsThatFit(batch, from, bytes_max_ - size_, room);
  if (fit == 0) return 0;
  const char* begin = batch.record(from).data();
  const std::string_view last = batch.record(from + fit - 1);
  const auto bytes = static_cast<uint32_t>(last.data() + last.size() - begin);
  std::memcpy(data_ + size_, begin, bytes);
  if (fixed_size_ == 0) {
    const auto begins_at = static_cast<uint32_t>(begin - batch.data);
    for (uint32_t i = 0; i < fit; ++i) {
      const uint32_t end = batch.fixed_size != 0 ? (from + i + 1) * batch.fixed_size
                                                 : batch.ends[from + i];
      ends_[records_ + i] = end - begins_at + size_;
    }
  }
  size_ += bytes;
  header_->records.store(records_ += fit, std::memory_order_release);
  return fit;
}

absl::StatusOr<ArenaWriter> ArenaWriter::Attach(UniqueFd fd, const ArenaShape& shape) {
  if (!shape.valid()) return absl::InvalidArgumentError("an arena of an impossible shape");
  auto mapping = Mapping::Map(fd.get(), shape.total_bytes(), /*writable=*/true);
  if (!mapping.ok()) return mapping.status();
  ArenaWriter writer;
  writer.shape_ = shape;
  writer.fd_ = std::move(fd);
  writer.mapping_ = std::move(*mapping);
  for (uint32_t i = shape.slices; i-- > 0;) {
    writer.free_.push_back(i);
    volatile char* slice = writer.mapping_.data() + shape.slice_offset(i);
    for (uint32_t at = 0; at < shape.slice_bytes; at += 4096) slice[at] = 0;
  }
  return writer;
}

SliceHeader* ArenaWriter::header(uint32_t i) const {
  return reinterpret_cast<SliceHeader*>(mapping_.data()) + i;
}

std::optional<SliceWriter> ArenaWriter::Open(const Owner& owner) {
  if (free_.empty()) return std::nullopt;
  const uint32_t index = free_.back();
  free_.pop_back();
  SliceHeader* header = this->header(index);
  header->records.store(0, std::memory_order_relaxed);
  header->fixed_size = owner.fixed_size;
  header->stream = owner.stream;
  header->incarnation = owner.incarnation;
  header->number = 0;
  header->reliable = owner.reliable ? 1 : 0;
  header->state.store(static_cast<uint32_t>(SliceState::kOpen), std::memory_order_release);
  SliceWriter slice;
  slice.header_ = header;
  slice.offset_ = shape_.slice_offset(index);
  slice.data_ = mapping_.data() + slice.offset_;
  slice.ends_ = reinterpret_cast<uint32_t*>(slice.data_ + shape_.bytes_max());
  slice.bytes_max_ = shape_.bytes_max();
  slice.records_max_ = shape_.records_max();
  slice.fixed_size_ = owner.fixed_size;
  slice.index_ = index;
  return slice;
}

void ArenaWriter::MarkSealed(const SliceWriter& slice, uint64_t number) {
  SliceHeader* header = this->header(slice.index_);
  header->number = number;
  header->state.store(static_cast<uint32_t>(SliceState::kSealed), std::memory_order_release);
}

void ArenaWriter::Free(uint64_t offset) {
  if (offset < shape_.directory_bytes()) return;
  const uint64_t within = offset - shape_.directory_bytes();
  const uint64_t index = within / shape_.slice_bytes;
  if (within % shape_.slice_bytes != 0 || index >= shape_.slices) return;
  SliceHeader* header = this->header(static_cast<uint32_t>(index));
  if (header->state.exchange(static_cast<uint32_t>(SliceState::kFree)) ==
      static_cast<uint32_t>(SliceState::kFree)) {
    return;
  }
  free_.push_back(static_cast<uint32_t>(index));
}

}  // namespace sluice
