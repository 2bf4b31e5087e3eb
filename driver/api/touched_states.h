// The states that one batch touches in one partition, decoded: keys and states of one small size
// each, so that a record costs one place in memory, whatever the state behind it costs. That is
// asked once for each key of the batch, and told of the changes when the records are over.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "driver/api/rows.h"
#include "driver/api/user_state.h"

namespace sluice::internal {

template <class K, class S>
inline constexpr bool kFitTouchedStates = kFixedSize<K> != 0 && kFixedSize<K> <= 16 &&
                                          kFixedSize<S> != 0 && kFixedSize<S> <= 32;

// Not thread-safe.
template <class K, class S>
class TouchedStates {
 public:
  static constexpr uint32_t kPiece = 32;  // keys that are looked up at once

  struct Entry {
    std::optional<S> state;
    bool stored = false;   // the state holds the key
    bool changed = false;  // for the owner
    bool ordered = false;  // for the owner
    uint32_t number = 0;   // in the order of the first Find, from 1; 0: not in use
    char key[kFixedSize<K>];
    std::string_view key_bytes() const { return {key, sizeof(key)}; }
  };

  // entries[i] becomes the entry of keys[i], canonical bytes, for at most kPiece keys; good until
  // the next call.
  void Find(std::span<const char* const> keys, UserState& state, Entry** entries) {
    if ((places_.size() + kPiece) * 2 > cells_.size()) Grow();
    uint64_t hashes[kPiece];
    for (size_t i = 0; i < keys.size(); ++i) {
      hashes[i] = HashOfKey<K>(keys[i], kFixedSize<K>);
      __builtin_prefetch(&cells_[hashes[i] & mask_]);
    }
    uint64_t fresh_hashes[kPiece];
    Entry* fresh[kPiece];
    uint32_t fresh_count = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      uint64_t at = hashes[i] & mask_;
      while (cells_[at].number != 0 && std::memcmp(cells_[at].key, keys[i], kFixedSize<K>) != 0) {
        at = (at + 1) & mask_;
      }
      Entry& entry = cells_[at];
      entries[i] = &entry;
      if (entry.number != 0) continue;
      std::memcpy(entry.key, keys[i], kFixedSize<K>);
      places_.push_back({.cell = static_cast<uint32_t>(at), .in_state = {}});
      entry.number = static_cast<uint32_t>(places_.size());
      fresh_hashes[fresh_count] = hashes[i];
      fresh[fresh_count++] = &entry;
    }
    if (fresh_count != 0) Load({fresh, fresh_count}, fresh_hashes, state);
  }

  // Entries are numbered from 1 to size().
  uint32_t size() const { return static_cast<uint32_t>(places_.size()); }
  const Entry& entry(uint32_t number) const { return cells_[places_[number - 1].cell]; }
  const UserState::Place& place(uint32_t number) const { return places_[number - 1].in_state; }

  // Keeps the memory.
  void Clear() {
    if (places_.size() < cells_.size() / 8) {
      for (const Place& place : places_) cells_[place.cell] = Entry();
    } else {
      std::fill(cells_.begin(), cells_.end(), Entry());
    }
    places_.clear();
  }

 private:
  struct Place {
    uint32_t cell = 0;
    UserState::Place in_state;
  };

  void Load(std::span<Entry* const> fresh, const uint64_t* hashes, UserState& state) {
    if (state.prefetches()) state.Prefetch({hashes, fresh.size()});
    for (size_t i = 0; i < fresh.size(); ++i) {
      Entry& entry = *fresh[i];
      entry.state = DecodeState<S>(
          state.Look(entry.key_bytes(), hashes[i], places_[entry.number - 1].in_state));
      entry.stored = entry.state.has_value();
    }
  }

  void Grow() {
    const size_t size = cells_.empty() ? 256 : cells_.size() * 2;
    std::vector<Entry> before(size);
    before.swap(cells_);
    mask_ = size - 1;
    for (const Entry& entry : before) {
      if (entry.number == 0) continue;
      uint64_t at = HashOfKey<K>(entry.key, kFixedSize<K>) & mask_;
      while (cells_[at].number != 0) at = (at + 1) & mask_;
      cells_[at] = entry;
      places_[entry.number - 1].cell = static_cast<uint32_t>(at);
    }
  }

  std::vector<Entry> cells_;   // open addressing; at most half of them are in use
  uint64_t mask_ = 0;
  std::vector<Place> places_;  // by number - 1
};

}  // namespace sluice::internal
