#include "common/encoded_batch.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace sluice {
namespace {

// The format is EncodeBatch's (record_batch.h); the test holds the two to the same bytes.
struct Header {
  uint32_t magic;
  uint32_t count;
  uint32_t fixed_size;
  uint32_t size;
};

// The bytes before the end offsets.
uint64_t OffsetsAt(uint64_t size) {
  return EncodedBatchSize({.size = size, .ends = nullptr, .count = 0, .fixed_size = 1});
}

Header HeaderOf(uint32_t count, uint32_t fixed_size, uint32_t size) {
  char empty[sizeof(Header) + kBatchSlack];
  EncodeBatchTo({}, empty);
  Header header;
  std::memcpy(&header, empty, sizeof(header));
  header.count = count;
  header.fixed_size = fixed_size;
  header.size = size;
  return header;
}

}  // namespace

EncodedBatch::EncodedBatch(uint32_t fixed_size)
    : encoded_(sizeof(Header), '\0'), fixed_size_(fixed_size) {
  static_assert(sizeof(Header) == kHeaderBytes);
}

void EncodedBatch::Reserve(uint64_t bytes, uint32_t records) {
  const uint32_t offsets = fixed_size_ == 0 ? records : 0;
  encoded_.reserve(OffsetsAt(bytes) + uint64_t{offsets} * sizeof(uint32_t));
  ends_.reserve(offsets);
}

void EncodedBatch::GiveUpFixedSize() {
  if (fixed_size_ == 0) return;
  ends_.resize(count_);
  for (uint32_t i = 0; i < count_; ++i) ends_[i] = (i + 1) * fixed_size_;
  fixed_size_ = 0;
}

void EncodedBatch::Append(std::string_view record) {
  if (record.size() != fixed_size_) GiveUpFixedSize();
  encoded_.append(record);
  ++count_;
  if (fixed_size_ == 0) ends_.push_back(static_cast<uint32_t>(size()));
}

void EncodedBatch::AppendAll(std::span<const std::string_view> records) {
  constexpr size_t kAhead = 16;          // records whose bytes are asked for before their turn
  constexpr size_t kAheadBytes = 1024;   // so much of the batch, too
  GiveUpFixedSize();
  uint64_t end = size();
  for (const std::string_view record : records) end += record.size();
  if (end > kBatchBytesMax) ThrowFull();
  encoded_.reserve(OffsetsAt(end) + (ends_.size() + records.size()) * sizeof(uint32_t));
  ends_.reserve(ends_.size() + records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    if (i + kAhead < records.size()) {
      __builtin_prefetch(records[i + kAhead].data());
      __builtin_prefetch(records[i + kAhead].data() + 64);
    }
    __builtin_prefetch(encoded_.data() + encoded_.size() + kAheadBytes, 1);
    __builtin_prefetch(encoded_.data() + encoded_.size() + kAheadBytes + 64, 1);
    encoded_.append(records[i]);
    ends_.push_back(static_cast<uint32_t>(size()));
  }
  count_ += static_cast<uint32_t>(records.size());
}

void EncodedBatch::AppendFixed(const char* bytes, size_t count) {
  const uint64_t added = uint64_t{count} * fixed_size_;
  if (size() + added > kBatchBytesMax) ThrowFull();
  Reserve(size() + added, 0);
  encoded_.append(bytes, added);
  count_ += static_cast<uint32_t>(count);
}

void EncodedBatch::ThrowFull() {
  throw std::length_error("more records than one batch can hold");
}

BatchView EncodedBatch::view() const {
  return {.data = encoded_.data() + sizeof(Header),
          .size = size(),
          .ends = fixed_size_ == 0 ? ends_.data() : nullptr,
          .count = count_,
          .fixed_size = fixed_size_};
}

void EncodedBatch::Append(const BatchView& batch, uint32_t from, uint32_t to) {
  if (from >= to) return;
  if (batch.fixed_size != fixed_size_) GiveUpFixedSize();
  const char* begin = batch.record(from).data();
  const std::string_view last = batch.record(to - 1);
  const auto shift = static_cast<uint32_t>(size()) - static_cast<uint32_t>(begin - batch.data);
  encoded_.append(begin, static_cast<size_t>(last.data() + last.size() - begin));
  const uint32_t count = count_;
  count_ += to - from;
  if (fixed_size_ != 0) return;
  ends_.resize(count_);
  for (uint32_t i = from; i < to; ++i) {
    const uint32_t end =
        batch.fixed_size != 0 ? (i + 1) * batch.fixed_size : batch.ends[i];
    ends_[count + (i - from)] = end + shift;
  }
}

std::string EncodedBatch::Take() {
  const auto bytes = static_cast<uint32_t>(size());
  const Header header = HeaderOf(count_, fixed_size_, bytes);
  std::memcpy(encoded_.data(), &header, sizeof(header));
  const uint64_t whole = OffsetsAt(bytes) + ends_.size() * sizeof(uint32_t);
  if (encoded_.capacity() > whole + whole / 4 || encoded_.capacity() < whole) {
    std::string exact;
    exact.reserve(whole);
    exact.append(encoded_);
    encoded_ = std::move(exact);
  }
  encoded_.resize(OffsetsAt(bytes), '\0');
  encoded_.append(reinterpret_cast<const char*>(ends_.data()), ends_.size() * sizeof(uint32_t));
  ends_ = {};
  count_ = 0;
  return std::exchange(encoded_, std::string(sizeof(Header), '\0'));
}

uint32_t RecordsThatFit(const BatchView& batch, uint32_t from, uint64_t bytes, uint32_t records) {
  const uint32_t last = from + std::min(batch.count - from, records);
  if (batch.fixed_size != 0) {
    return static_cast<uint32_t>(std::min<uint64_t>(last - from, bytes / batch.fixed_size));
  }
  const uint64_t limit = (from == 0 ? 0 : batch.ends[from - 1]) + bytes;
  return static_cast<uint32_t>(
      std::upper_bound(batch.ends + from, batch.ends + last, limit) - (batch.ends + from));
}

}  // namespace sluice
