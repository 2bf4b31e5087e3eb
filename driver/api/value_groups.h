// The values of each key of a partition's shares, in the order of arrival. Untyped: a record is a
// key field and, behind it, the bytes of its value.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "driver/api/chain.h"
#include "driver/api/combine_table.h"

namespace sluice::internal {

// Borrows from the shares; reused from batch to batch. Not thread-safe.
class ValueGroups {
 public:
  struct Group {
    uint32_t first = 0, last = 0, count = 0;  // a list through values_
  };
  using Entry = CombineTable<Group>::Entry;
  using TakeKey = bool (*)(ByteReader&, std::string_view& canonical);

  void Gather(std::span<const Share> shares, TakeKey take_key);

  // One per key, in the order of its first value.
  const std::vector<Entry>& entries() const { return table_.entries(); }
  std::string_view KeyOf(const Entry& entry) const { return table_.KeyOf(entry); }
  // The group of a key; null when it has none.
  const Entry* Find(std::string_view key) const;

  template <class Visit>
  void ForEachValue(const Group& group, const Visit& visit) const {
    uint32_t at = group.first;
    for (uint32_t i = 0; i < group.count; ++i, at = values_[at].next) visit(values_[at].bytes);
  }

 private:
  struct Value {
    std::string_view bytes;
    uint32_t next = 0;
  };

  // A record on its way into the table.
  struct Waiting {
    std::string_view key;
    std::string_view value;
    CombineTable<Group>::Hashed hashed;
  };
  static constexpr uint32_t kPiece = 64;  // records whose memory is asked for at once

  void GatherPiece(const BatchView& records, uint32_t begin, uint32_t end, TakeKey take_key);
  void Append(const Waiting& record);

  CombineTable<Group> table_;
  std::vector<Value> values_;
};

// Decodes a value given as the bytes of a field.
template <class V>
void DecodeField(std::string_view bytes, View<V>& value) {
  ByteReader in{bytes.data(), bytes.data() + bytes.size()};
  if (!RecordCodec<V>::Take(in, value) || in.at != in.end) {
    ThrowBadRecord(RecordName<V>(), 0, bytes.size());
  }
}

}  // namespace sluice::internal
