#include "bench/shuffle_floors.h"

#include <cstring>

namespace sluice::bench::SLUICE_FLOORS {
namespace {

uint64_t KeyOf(const SmallRecord& record) { return record.first; }
uint64_t KeyOf(const LargeRecord& record) { return record.key; }

constexpr size_t kSmallSize = 16, kLargeSize = 100;

void Write(const SmallRecord& record, char* at) { std::memcpy(at, &record, kSmallSize); }
void Write(const LargeRecord& record, char* at) {
  std::memcpy(at, &record.key, 8);
  std::memcpy(at + 8, record.rest.data(), 92);
}
void Read(const char* at, SmallRecord& record) { std::memcpy(&record, at, kSmallSize); }
void Read(const char* at, LargeRecord& record) {
  std::memcpy(&record.key, at, 8);
  std::memcpy(record.rest.data(), at + 8, 92);
}

template <class T, size_t kSize>
uint64_t Part(std::span<const T> records, uint32_t partitions, PartedBytes& bytes) {
  bytes.partitions.resize(partitions);
  bytes.used.assign(partitions, 0);
  const auto partition_of = [&](const T& record) {
    const uint64_t hash = Mix(KeyOf(record));
    return static_cast<uint32_t>((static_cast<unsigned __int128>(hash) * partitions) >> 64);
  };
  constexpr size_t kPiece = 1 << 13;
  std::vector<uint32_t> counts(partitions);
  std::vector<char*> ends(partitions);
  std::vector<uint32_t> place(kPiece);
  for (size_t begin = 0; begin < records.size(); begin += kPiece) {
    const size_t count = std::min(kPiece, records.size() - begin);
    std::fill(counts.begin(), counts.end(), 0);
    for (size_t i = 0; i < count; ++i) ++counts[place[i] = partition_of(records[begin + i])];
    for (uint32_t p = 0; p < partitions; ++p) {
      const uint64_t needed = bytes.used[p] + counts[p] * kSize;
      if (bytes.partitions[p].size() < needed) {
        bytes.partitions[p].resize(std::max<size_t>(needed, 2 * bytes.partitions[p].size()));
      }
      ends[p] = bytes.partitions[p].data() + bytes.used[p];
      bytes.used[p] = needed;
    }
    for (size_t i = 0; i < count; ++i) {
      Write(records[begin + i], ends[place[i]]);
      ends[place[i]] += kSize;
    }
  }
  uint64_t sum = 0;
  for (uint32_t p = 0; p < partitions; ++p) {
    T record;
    const char* end = bytes.partitions[p].data() + bytes.used[p];
    for (const char* at = bytes.partitions[p].data(); at != end; at += kSize) {
      Read(at, record);
      sum += SumOf(record);
    }
  }
  return sum;
}

}  // namespace

uint64_t PartAndSum(std::span<const SmallRecord> records, uint32_t partitions,
                    PartedBytes& bytes) {
  return Part<SmallRecord, kSmallSize>(records, partitions, bytes);
}
uint64_t PartAndSum(std::span<const LargeRecord> records, uint32_t partitions,
                    PartedBytes& bytes) {
  return Part<LargeRecord, kLargeSize>(records, partitions, bytes);
}

}  // namespace sluice::bench::SLUICE_FLOORS
