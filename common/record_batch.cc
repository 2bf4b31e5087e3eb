#include "common/record_batch.h"

#include <cstring>
#include <utility>

namespace sluice {
namespace {

constexpr uint32_t kMagic = 0x31425253;  // "SRB1", little-endian

struct Header {
  uint32_t magic;
  uint32_t count;
  uint32_t fixed_size;
  uint32_t size;
};
static_assert(sizeof(Header) == 16);

constexpr uint64_t Aligned4(uint64_t n) { return (n + 3) & ~uint64_t{3}; }

// 0 for none; more than any offset where they do not ascend. Without a branch per offset, so that
// compilers make vectors of it.
uint64_t LastOfAscending(const uint32_t* offsets, uint32_t count) {
  if (count == 0) return 0;
  uint32_t descends = 0;
  for (uint32_t i = 1; i < count; ++i) descends |= offsets[i] < offsets[i - 1] ? 1 : 0;
  return descends != 0 ? UINT64_MAX : offsets[count - 1];
}

uint64_t OffsetsAt(uint64_t size) { return Aligned4(sizeof(Header) + size + kBatchSlack); }

}  // namespace

bool RecordBatch::AppendAll(const BatchView& other) {
  if (other.count == 0) return true;
  if (other.fixed_size != fixed_size_) return false;
  const uint32_t base = static_cast<uint32_t>(size());
  bytes_.append(other.data, other.size);
  if (fixed_size_ == 0) {
    for (uint32_t i = 0; i < other.count; ++i) ends_.push_back(base + other.ends[i]);
  }
  count_ += other.count;
  return true;
}

BatchView RecordBatch::view() const {
  const size_t size = bytes_.size();
  if (bytes_.capacity() < size + kBatchSlack) bytes_.reserve(size + kBatchSlack);
  // The slack must be initialised for a scanner that loads it; it lies in capacity, so it is
  // written through resize and cut off again.
  bytes_.resize(size + kBatchSlack);
  bytes_.resize(size);
  return {bytes_.data() + head_, size - head_, fixed_size_ == 0 ? ends_.data() : nullptr, count_,
          fixed_size_};
}

void RecordBatch::BeginEncoded() {
  head_ = sizeof(Header);
  bytes_.reserve(taken_bytes_ + taken_bytes_ / 16);
  bytes_.assign(head_, '\0');
}

std::string RecordBatch::TakeEncoded() {
  const uint64_t whole = OffsetsAt(size()) + ends_.size() * sizeof(uint32_t);
  const bool fits = bytes_.capacity() >= whole && bytes_.capacity() / 2 <= whole;
  taken_bytes_ = whole;
  std::string encoded;
  if (head_ != 0 && fits) {
    const Header header{kMagic, count_, fixed_size_, static_cast<uint32_t>(size())};
    std::memcpy(bytes_.data(), &header, sizeof(header));
    bytes_.resize(OffsetsAt(size()), '\0');
    if (!ends_.empty()) {
      bytes_.append(reinterpret_cast<const char*>(ends_.data()), ends_.size() * sizeof(uint32_t));
    }
    encoded = std::exchange(bytes_, {});
  } else {
    EncodeBatch(view(), encoded);
  }
  Clear();
  return encoded;
}

uint64_t EncodedBatchSize(const BatchView& batch) {
  const uint64_t offsets = batch.fixed_size == 0 ? uint64_t{batch.count} * 4 : 0;
  return OffsetsAt(batch.size) + offsets;
}

void EncodeBatchTo(const BatchView& batch, char* out) {
  const Header header{kMagic, batch.count, batch.fixed_size, static_cast<uint32_t>(batch.size)};
  std::memcpy(out, &header, sizeof(header));
  if (batch.size > 0) std::memcpy(out + sizeof(header), batch.data, batch.size);
  const uint64_t end = sizeof(header) + batch.size;
  std::memset(out + end, 0, OffsetsAt(batch.size) - end);
  if (batch.fixed_size == 0 && batch.count > 0) {
    std::memcpy(out + OffsetsAt(batch.size), batch.ends, uint64_t{batch.count} * 4);
  }
}

// Piece by piece, since what is made room for with resize is written twice.
void EncodeBatch(const BatchView& batch, std::string& out) {
  const Header header{kMagic, batch.count, batch.fixed_size, static_cast<uint32_t>(batch.size)};
  out.reserve(out.size() + EncodedBatchSize(batch));
  out.append(reinterpret_cast<const char*>(&header), sizeof(header));
  out.append(batch.data, batch.size);
  out.append(OffsetsAt(batch.size) - sizeof(header) - batch.size, '\0');
  if (batch.fixed_size != 0 || batch.count == 0) return;
  out.append(reinterpret_cast<const char*>(batch.ends), uint64_t{batch.count} * 4);
}

std::optional<BatchView> DecodeBatch(std::string_view encoded, std::vector<uint32_t>& scratch) {
  Header header;
  if (encoded.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, encoded.data(), sizeof(header));
  if (header.magic != kMagic || header.size > kBatchBytesMax) return std::nullopt;
  const uint64_t offsets_at = OffsetsAt(header.size);
  if (encoded.size() < offsets_at) return std::nullopt;
  BatchView view{encoded.data() + sizeof(header), header.size, nullptr, header.count,
                 header.fixed_size};
  if (header.fixed_size != 0) {
    const bool whole = uint64_t{header.count} * header.fixed_size == header.size &&
                       encoded.size() == offsets_at;
    return whole ? std::optional(view) : std::nullopt;
  }
  if (encoded.size() != offsets_at + uint64_t{header.count} * 4) return std::nullopt;
  const char* offsets = encoded.data() + offsets_at;
  if (reinterpret_cast<uintptr_t>(offsets) % alignof(uint32_t) == 0) {
    view.ends = reinterpret_cast<const uint32_t*>(offsets);
  } else {
    scratch.resize(header.count);
    if (header.count > 0) std::memcpy(scratch.data(), offsets, uint64_t{header.count} * 4);
    view.ends = scratch.data();
  }
  if (LastOfAscending(view.ends, header.count) != header.size) return std::nullopt;
  return view;
}

}  // namespace sluice
