// The keyed state of an operator that keeps one entry for each of the user's keys, and beside them
// one mark of its own (common/plan/user_key.h): that the state has begun, so that an initial state
// is taken once only.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/codec.h"
#include "common/key_hash.h"
#include "common/plan/kernel.h"
#include "common/plan/key_groups.h"
#include "common/plan/user_key.h"
#include "driver/api/chain.h"
#include "driver/api/state_fetch.h"

namespace sluice::internal {

// Borrows the state of one Run. Keys are canonical bytes; for the rest see KeyedState.
class UserState {
 public:
  explicit UserState(KeyedState& state) : state_(state) {}

  // True once in the life of the state: in its first batch, and again where that is rolled back.
  bool Begin();

  std::optional<std::string_view> Get(std::string_view key) { return state_.Get(EntryKey(key)); }
  // `due_ms` 0: never.
  void Put(std::string_view key, std::string_view value, int64_t due_ms = 0) {
    state_.PutTimed(EntryKey(key), value, due_ms);
  }
  void Remove(std::string_view key) { state_.Remove(EntryKey(key)); }
  uint64_t size() const { return state_.size(); }
  // Worth its price where the state does not fit the cache.
  bool prefetches() const { return state_.size() > kCachedEntries; }
  void Prefetch(const uint64_t* hashes, size_t count);
  // As StateFetch: `append_key` gives a user's key.
  template <class AppendKey>
  void FetchAt(StateFetch& fetch, size_t i, size_t count, const AppendKey& append_key) {
    fetch.At(state_, i, count, [&](size_t at, std::string& out) {
      const size_t begin = out.size();
      append_key(at, out);
      if (IsEscapedEntry(std::string_view(out).substr(begin))) out.insert(begin, 1, kEntryEscape);
    });
  }
  using Place = KeyedState::Place;
  // `hash` is KeyHash(key).
  std::string_view Look(std::string_view key, uint64_t hash, Place& place) {
    if (!IsEscapedEntry(key)) [[likely]] return state_.Look(key, hash, place);
    const std::string_view entry_key = EntryKey(key);
    return state_.Look(entry_key, KeyHash(entry_key), place);
  }
  // The same, and PutAt, for some dozen keys.
  void LookAll(std::span<const std::string_view> keys, const uint64_t* hashes,
               KeyedState::Found* found);
  void PutAll(const KeyedState::Putting* entries, size_t count, int64_t due_ms);
  void PutAt(const Place& place, std::string_view key, std::string_view value,
             int64_t due_ms = 0) {
    state_.PutAt(place, EntryKey(key), value, due_ms);
  }
  Place Visited() const { return state_.Visited(); }
  template <class Visit>
  void ForEach(const Visit& visit) {
    state_.ForEach(OfUser(visit));
  }
  template <class Visit>
  void ForEachDue(int64_t before_ms, const Visit& visit) {
    state_.ForEachDue(before_ms, OfUser(visit));
  }

 private:
  static constexpr uint64_t kCachedEntries = 4096;
  std::string_view EntryKey(std::string_view key) {
    if (!IsEscapedEntry(key)) [[likely]] return key;
    escaped_.assign(1, kEntryEscape).append(key);
    return escaped_;
  }
  template <class Visit>
  static auto OfUser(const Visit& visit) {
    return [&visit](std::string_view entry_key, std::string_view value) {
      if (IsEntryMark(entry_key)) return;
      visit(UserKeyOf(entry_key), value);
    };
  }

  KeyedState& state_;
  std::string escaped_;
};

// Adds the keys of `former` that are this partition's, with their due times, and the mark.
void TakeOverUserState(const Spreading& spreading, KeyedState& former, KeyedState& to);

// In words: "text -> int64".
std::string StateType(std::string (*key_type)(), std::string (*value_type)());

// What a program gives a state to begin with: keys and values of all partitions, encoded. Of two
// entries of one key the later counts.
class InitialState {
 public:
  using Entries = std::vector<std::pair<std::string, std::string>>;
  explicit InitialState(Entries entries);
  ~InitialState();
  // Appends key and state of the i-th of the program's `entries`.
  using EncodeEntry = void (*)(const void* entries, size_t i, std::string& key,
                               std::string& state);
  static std::shared_ptr<const InitialState> Of(const void* entries, size_t count,
                                                EncodeEntry encode);

  // Puts what belongs to the operator's partition.
  void PutInto(UserState& state, const OperatorContext& context, int64_t due_ms) const;

 private:
  const Entries entries_;
};

template <class K, class S>
std::shared_ptr<const InitialState> EncodeInitial(const std::vector<std::pair<K, S>>& initial) {
  return InitialState::Of(
      initial.data(), initial.size(),
      [](const void* entries, size_t i, std::string& key, std::string& state) {
        const auto& entry = static_cast<const std::pair<K, S>*>(entries)[i];
        EncodeKey<K>(entry.first, key);
        EncodeRecord<S>(entry.second, state);
      });
}

// The user's key behind canonical bytes.
template <class K>
SLUICE_INLINED inline View<K> DecodeKey(std::string_view key) {
  View<K> view{};
  if constexpr (kFixedSize<K> != 0) {
    if (key.size() == kFixedSize<K> && RecordCodec<K>::Read(key.data(), view)) [[likely]] {
      return view;
    }
  }
  if (!DecodeRecord<K>(key, view)) ThrowBadRecord(RecordName<K>(), 0, key.size());
  return view;
}

// A state as an entry holds it; valid until the next call with the same scratch.
template <class S>
std::string_view EncodeState(const S& state, std::string& scratch) {
  if constexpr (Number<S>) {
    static_assert(kFixedSize<S> == sizeof(S));
    if (scratch.size() < sizeof(S)) scratch.resize(sizeof(S));
    std::memcpy(scratch.data(), &state, sizeof(S));
    return {scratch.data(), sizeof(S)};
  } else {
    scratch.clear();
    EncodeRecord<S>(state, scratch);
    return scratch;
  }
}

// The state that an entry holds; nothing where data() is null.
template <class S>
std::optional<S> DecodeState(std::string_view bytes) {
  if (bytes.data() == nullptr) return std::nullopt;
  if constexpr (std::same_as<View<S>, S> && kFixedSize<S> != 0) {
    S state{};
    const bool whole = bytes.size() == kFixedSize<S>;
    if (!whole || !RecordCodec<S>::Read(bytes.data(), state)) [[unlikely]] {
      ThrowBadRecord(RecordName<S>(), 0, bytes.size());
    }
    return state;
  }
  View<S> view{};
  if (!DecodeRecord<S>(bytes, view)) ThrowBadRecord(RecordName<S>(), 0, bytes.size());
  return ToOwned(std::as_const(view));
}

}  // namespace sluice::internal
