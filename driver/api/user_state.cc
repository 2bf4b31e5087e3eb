#include "driver/api/user_state.h"

#include <algorithm>

namespace sluice::internal {

bool UserState::Begin() {
  static constexpr std::string_view kMark = "\xff" "begun";
  if (state_.Get(kMark).has_value()) return false;
  state_.Put(kMark, "");
  return true;
}

void UserState::Prefetch(const uint64_t* hashes, size_t count) {
  state_.Prefetch({hashes, count});
}

void UserState::LookAll(std::span<const std::string_view> keys, const uint64_t* hashes,
                        KeyedState::Found* found) {
  if (std::none_of(keys.begin(), keys.end(), IsEscapedEntry)) {
    return state_.LookAll(keys, hashes, found);
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    found[i].value = Look(keys[i], hashes[i], found[i].place);
  }
}

void UserState::PutAll(const KeyedState::Putting* begin, size_t count, int64_t due_ms) {
  const std::span<const KeyedState::Putting> entries(begin, count);
  const auto escaped = [](const KeyedState::Putting& one) { return IsEscapedEntry(one.key); };
  if (std::none_of(entries.begin(), entries.end(), escaped)) {
    return state_.PutAll(entries, due_ms);
  }
  for (const KeyedState::Putting& one : entries) {
    Place place = one.place;
    if (escaped(one)) place.hash = KeyHash(EntryKey(one.key));
    PutAt(place, one.key, one.value, due_ms);
  }
}

void StateFetch::Fetch(KeyedState& state) {
  keys_.clear();
  size_t begin = 0;
  for (const size_t end : ends_) {
    keys_.push_back(std::string_view(bytes_).substr(begin, end - begin));
    begin = end;
  }
  state.Fetch(keys_);
}

std::string StateType(std::string (*key_type)(), std::string (*value_type)()) {
  return key_type() + " -> " + value_type();
}

InitialState::InitialState(Entries entries) : entries_(std::move(entries)) {}
InitialState::~InitialState() = default;

std::shared_ptr<const InitialState> InitialState::Of(const void* entries, size_t count,
                                                     EncodeEntry encode) {
  Entries encoded(count);
  for (size_t i = 0; i < count; ++i) encode(entries, i, encoded[i].first, encoded[i].second);
  return std::make_shared<const InitialState>(std::move(encoded));
}

void InitialState::PutInto(UserState& state, const OperatorContext& context,
                           int64_t due_ms) const {
  const KeyPartitioner* const partitioner = context.task.partitioner;
  for (const auto& [key, value] : entries_) {
    const uint32_t partition =
        partitioner != nullptr
            ? partitioner->PartitionOf(key, context.partitions)
            : PartitionOf(KeyHash(key), context.task.key_groups, context.partitions);
    if (partition == context.task.task) state.Put(key, value, due_ms);
  }
}

void TakeOverUserState(const Spreading& spreading, KeyedState& former, KeyedState& to) {
  former.ForEach([&](std::string_view entry_key, std::string_view value) {
    if (IsEntryMark(entry_key) || spreading.Takes(UserKeyOf(entry_key))) {
      to.PutTimed(entry_key, value, former.DueOf(entry_key));
    }
  });
}

}  // namespace sluice::internal
