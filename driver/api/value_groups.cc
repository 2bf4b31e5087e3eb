#include "driver/api/value_groups.h"

#include <algorithm>

namespace sluice::internal {

void ValueGroups::Gather(std::span<const Share> shares, TakeKey take_key) {
  table_.Clear();
  values_.clear();
  for (const Share& share : shares) {
    for (uint32_t i = 0; i < share.records.count; i += kPiece) {
      GatherPiece(share.records, i, std::min(i + kPiece, share.records.count), take_key);
    }
  }
}

void ValueGroups::GatherPiece(const BatchView& records, uint32_t begin, uint32_t end,
                              TakeKey take_key) {
  Waiting waiting[kPiece];
  const uint32_t count = end - begin;
  for (uint32_t i = 0; i < count; ++i) {
    const std::string_view record = records.record(begin + i);
    ByteReader in{record.data(), record.data() + record.size()};
    if (!take_key(in, waiting[i].key)) ThrowBadRecord("a pair", begin + i, record.size());
    waiting[i].value = {in.at, in.left()};
    waiting[i].hashed = table_.HashedOf(waiting[i].key);
  }
  if (table_.large()) {
    for (uint32_t i = 0; i < count; ++i) table_.PrefetchSlot(waiting[i].hashed.hash);
    for (uint32_t i = 0; i < count; ++i) table_.PrefetchEntry(waiting[i].hashed.hash);
  }
  for (uint32_t i = 0; i < count; ++i) Append(waiting[i]);
}

const ValueGroups::Entry* ValueGroups::Find(std::string_view key) const {
  return table_.Find(key);
}

void ValueGroups::Append(const Waiting& record) {
  bool added;
  Group& group = table_.FindOrAdd(record.key, record.hashed, added).value;
  const auto index = static_cast<uint32_t>(values_.size());
  values_.push_back({record.value, 0});
  if (added) group.first = index;
  else values_[group.last].next = index;
  group.last = index;
  ++group.count;
}

}  // namespace sluice::internal
