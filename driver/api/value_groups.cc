#include "driver/api/value_groups.h"

namespace sluice::internal {

void ValueGroups::Gather(std::span<const Share> shares, TakeKey take_key) {
  table_.Clear();
  values_.clear();
  std::string_view key;
  for (const Share& share : shares) {
    for (uint32_t i = 0; i < share.records.count; ++i) {
      const std::string_view record = share.records.record(i);
      ByteReader in{record.data(), record.data() + record.size()};
      if (!take_key(in, key)) ThrowBadRecord("a pair", i, record.size());
      Append(key, {in.at, in.left()});
    }
  }
}

const ValueGroups::Entry* ValueGroups::Find(std::string_view key) const {
  return table_.Find(key);
}

void ValueGroups::Append(std::string_view key, std::string_view bytes) {
  bool added;
  Group& group = table_.FindOrAdd(key, added).value;
  const auto index = static_cast<uint32_t>(values_.size());
  values_.push_back({bytes, 0});
  if (added) group.first = index;
  else values_[group.last].next = index;
  group.last = index;
  ++group.count;
}

}  // namespace sluice::internal
