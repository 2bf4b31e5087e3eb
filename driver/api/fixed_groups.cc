#include "driver/api/fixed_groups.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/key_hash.h"
#include "common/large_memory.h"

namespace sluice::internal {
namespace {

constexpr uint32_t kPiece = 64;  // records whose memory is asked for at once
constexpr uint64_t kTagMask = 0xffffffff00000000;

uint32_t VarintBytes(uint32_t value) {
  uint32_t bytes = 1;
  for (; value >= 128; value >>= 7) ++bytes;
  return bytes;
}

char* WriteVarint(uint32_t value, char* at) {
  for (; value >= 128; value >>= 7) *at++ = static_cast<char>(value | 128);
  *at++ = static_cast<char>(value);
  return at;
}

}  // namespace

class FixedGroups::Table {
 public:
  Table(uint32_t key_size, uint32_t value_size) : key_size_(key_size), value_size_(value_size) {}

  bool Gather(std::span<const Share> shares, RecordBatch& out);

 private:
  struct Group {
    ShortKey key;  // as LoadKeyOfSize has it
    uint32_t count = 0;
    uint32_t at = 0;  // where its next value goes
  };

  template <uint32_t kKeySize>
  void GatherKeys(std::span<const Share> shares, RecordBatch& out);
  template <uint32_t kKeySize>
  void CountPiece(const BatchView& records, uint32_t begin, uint32_t count);
  template <uint32_t kKeySize>
  void Reserve(uint64_t groups);
  template <uint32_t kKeySize>
  char* WriteHeads(RecordBatch& out);
  template <uint32_t kValueSize>
  void PutValues(std::span<const Share> shares, char* bytes);

  const uint32_t key_size_;
  const uint32_t value_size_;
  // A part of the hash above, index + 1 of a group below; 0: free.
  std::vector<uint64_t, LargeAllocator<uint64_t>> cells_;
  uint64_t mask_ = 0;
  std::vector<Group, LargeAllocator<Group>> groups_;
  std::vector<uint32_t> group_of_;  // by record
};

FixedGroups::FixedGroups(uint32_t key_size, uint32_t value_size)
    : table_(new Table(key_size, value_size)) {}
FixedGroups::~FixedGroups() { delete table_; }

bool FixedGroups::Gather(std::span<const Share> shares, RecordBatch& out) {
  return table_->Gather(shares, out);
}

bool FixedGroups::Table::Gather(std::span<const Share> shares, RecordBatch& out) {
  for (const Share& share : shares) {
    const BatchView& records = share.records;
    if (records.count != 0 && records.fixed_size != key_size_ + value_size_) return false;
  }
  switch (key_size_) {
    case 4: GatherKeys<4>(shares, out); break;
    case 8: GatherKeys<8>(shares, out); break;
    default: GatherKeys<16>(shares, out); break;
  }
  return true;
}

template <uint32_t kKeySize>
void FixedGroups::Table::GatherKeys(std::span<const Share> shares, RecordBatch& out) {
  std::fill(cells_.begin(), cells_.end(), 0);
  groups_.clear();
  group_of_.clear();
  for (const Share& share : shares) {
    for (uint32_t i = 0; i < share.records.count; i += kPiece) {
      Reserve<kKeySize>(groups_.size() + kPiece);
      CountPiece<kKeySize>(share.records, i, std::min(kPiece, share.records.count - i));
    }
  }
  char* const bytes = WriteHeads<kKeySize>(out);
  switch (value_size_) {
    case 4: return PutValues<4>(shares, bytes);
    case 8: return PutValues<8>(shares, bytes);
    case 16: return PutValues<16>(shares, bytes);
    default: return PutValues<0>(shares, bytes);
  }
}

template <uint32_t kKeySize>
void FixedGroups::Table::CountPiece(const BatchView& records, uint32_t begin, uint32_t count) {
  const uint32_t size = records.fixed_size;
  const char* const first = records.data + uint64_t{begin} * size;
  ShortKey keys[kPiece];
  uint64_t hashes[kPiece];
  for (uint32_t i = 0; i < count; ++i) {
    keys[i] = LoadKeyOfSize<kKeySize>(first + size_t{i} * size);
    hashes[i] = HashKeyOfSize<kKeySize>(keys[i]);
    __builtin_prefetch(&cells_[hashes[i] & mask_], 1);
  }
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t tag = hashes[i] << 16 & kTagMask;
    uint64_t at = hashes[i] & mask_;
    for (;; at = (at + 1) & mask_) {
      const uint64_t cell = cells_[at];
      if (cell == 0) {
        groups_.push_back({keys[i], 0, 0});
        cells_[at] = tag | groups_.size();
        break;
      }
      if ((cell & kTagMask) != tag) continue;
      if (groups_[static_cast<uint32_t>(cell) - 1].key == keys[i]) break;
    }
    const uint32_t index = static_cast<uint32_t>(cells_[at]) - 1;
    ++groups_[index].count;
    group_of_.push_back(index);
  }
}

template <uint32_t kKeySize>
void FixedGroups::Table::Reserve(uint64_t groups) {
  if (groups * 2 <= cells_.size()) return;
  const uint64_t size = std::max<uint64_t>(256, cells_.size() * 2);
  cells_.assign(size, 0);
  mask_ = size - 1;
  for (size_t i = 0; i < groups_.size(); ++i) {
    const uint64_t hash = HashKeyOfSize<kKeySize>(groups_[i].key);
    uint64_t at = hash & mask_;
    while (cells_[at] != 0) at = (at + 1) & mask_;
    cells_[at] = (hash << 16 & kTagMask) | (i + 1);
  }
}

// Keys and counts; gives what the groups' places count from.
template <uint32_t kKeySize>
char* FixedGroups::Table::WriteHeads(RecordBatch& out) {
  const uint64_t before = out.size();
  const uint64_t held = out.bytes().size();  // offsets are from the batch's first record
  uint64_t end = before;
  uint32_t* ends = out.EndRecordsAt(static_cast<uint32_t>(groups_.size()));
  for (Group& group : groups_) {
    const uint64_t head = kKeySize + VarintBytes(group.count);
    group.at = static_cast<uint32_t>(end - before + head);
    end += head + uint64_t{group.count} * value_size_;
    if (end > kBatchBytesMax) ThrowBatchFull();
    *ends++ = static_cast<uint32_t>(end);
  }
  out.bytes().resize(held + (end - before));
  char* const bytes = out.bytes().data() + held;
  for (const Group& group : groups_) {
    char* const head = bytes + group.at - kKeySize - VarintBytes(group.count);
    std::memcpy(head, &group.key, kKeySize);
    WriteVarint(group.count, head + kKeySize);
  }
  return bytes;
}

// kValueSize 0: as value_size_ says.
template <uint32_t kValueSize>
void FixedGroups::Table::PutValues(std::span<const Share> shares, char* bytes) {
  constexpr size_t kAhead = 16;
  const uint32_t size = kValueSize != 0 ? kValueSize : value_size_;
  size_t i = 0;
  for (const Share& share : shares) {
    const char* value = share.records.data + key_size_;
    for (uint32_t record = 0; record < share.records.count; ++record, ++i) {
      if (i + kAhead < group_of_.size()) {
        __builtin_prefetch(bytes + groups_[group_of_[i + kAhead]].at, 1);
      }
      Group& group = groups_[group_of_[i]];
      std::memcpy(bytes + group.at, value, size);
      group.at += size;
      value += key_size_ + size;
    }
  }
}

}  // namespace sluice::internal
