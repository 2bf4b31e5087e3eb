// The states that one batch touches in one partition, decoded: keys and states of one small size
// each, so that a record costs one place in memory, whatever the state behind it costs. That is
// asked once for each key of the batch, and told of the changes when the records are over.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "common/large_memory.h"
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
  static constexpr uint32_t kPiece = 128;  // keys that are looked up at once

  // The state of one key, and what became of it in the batch. Value and flag are apart, and no
  // optional: an optional is copied as a whole, which waits for the stores of its parts.
  struct alignas(std::bit_ceil(sizeof(S) + kFixedSize<K> + 12)) Entry {
    S value{};
    uint32_t slot = 0;      // of its place in the state
    bool used = false;
    bool present = false;   // there is a value
    bool changed = false;
    uint8_t known : 1 = 0;  // the place is
    uint8_t stored : 1 = 0;  // the state holds the key
    uint8_t noted : 1 = 0;   // in new_
    char key[kFixedSize<K>];
    std::string_view key_bytes() const { return {key, sizeof(key)}; }
    bool IsOf(const char* bytes) const {  // one branch
      return (std::memcmp(key, bytes, sizeof(key)) == 0) & used;
    }

    std::optional<S> Get() const {
      std::optional<S> state;
      if (present) state.emplace(value);
      return state;
    }
    void Set(const std::optional<S>& state) {
      present = state.has_value();
      if (present) value = *state;
    }
  };

  // For keys, at most kPiece, that Find will be called with soon: asks for the memory.
  void Ask(std::span<const char* const> keys, uint64_t* hashes) const {
    for (size_t i = 0; i < keys.size(); ++i) {
      hashes[i] = HashOfKey<K>(keys[i], kFixedSize<K>);
      __builtin_prefetch(cells_.data() + (hashes[i] & mask_), 1);
    }
  }
  // entries[i] becomes the entry of keys[i], canonical bytes; good until the next call.
  void Find(std::span<const char* const> keys, const uint64_t* hashes, UserState& state,
            Entry** entries) {
    if ((used_ + kPiece) * 2 > cells_.size()) Grow();
    Entry* fresh[kPiece];
    uint64_t fresh_hashes[kPiece];
    uint32_t fresh_count = 0;
    Entry* const cells = cells_.data();
    for (size_t i = 0; i < keys.size(); ++i) {
      uint64_t at = hashes[i] & mask_;
      while (!cells[at].IsOf(keys[i]) && cells[at].used) at = (at + 1) & mask_;
      Entry* const entry = &cells[at];
      entries[i] = entry;
      if (entry->used) [[likely]] continue;
      std::memcpy(entry->key, keys[i], kFixedSize<K>);
      entry->used = true;
      fresh_hashes[fresh_count] = hashes[i];
      fresh[fresh_count++] = entry;
    }
    if (fresh_count != 0) Load({fresh, fresh_count}, fresh_hashes, state);
  }

  // The function has updated the entry's state or removed it.
  void NoteChange(Entry& entry) {
    entry.changed = true;
    if (entry.stored || entry.noted || !entry.present) return;
    entry.noted = 1;
    new_.push_back(static_cast<uint32_t>(&entry - cells_.data()));
  }

  // Tells the state of all changes, or with `all` of every entry: those that are new to it come in
  // the order in which they got their state. Afterwards this is empty, and keeps its memory.
  void Save(bool all, int64_t due_ms, UserState& state) {
    Rows rows(due_ms, state);
    for (Entry& entry : cells_) {
      if (!entry.used) continue;
      entry.used = false;
      if (!entry.stored || !(entry.changed || all)) continue;
      if (entry.present) {
        rows.Add(entry);
      } else {
        state.Remove(entry.key_bytes());
      }
    }
    for (const uint32_t cell : new_) {
      if (cells_[cell].present) rows.Add(cells_[cell]);
    }
    rows.Put();
    Shrink();
    new_.clear();
    used_ = 0;
  }

  // Forgets what a Run that threw has left.
  void Clear() {
    if (used_ == 0) return;
    for (Entry& entry : cells_) entry.used = false;
    new_.clear();
    used_ = 0;
  }

 private:
  // Hands entries to the state, some at a time.
  class Rows {
   public:
    Rows(int64_t due_ms, UserState& state) : due_ms_(due_ms), state_(state) {}
    void Add(const Entry& entry) {
      RecordCodec<S>::template Write<false>(entry.value, values_[count_]);
      rows_[count_] = {{.hash = HashOfKey<K>(entry.key, kFixedSize<K>),
                        .slot = entry.slot,
                        .known = entry.known != 0},
                       entry.key_bytes(),
                       {values_[count_], kFixedSize<S>}};
      if (++count_ == kPiece) Put();
    }
    void Put() {
      state_.PutAll(rows_, count_, due_ms_);
      count_ = 0;
    }

   private:
    const int64_t due_ms_;
    UserState& state_;
    size_t count_ = 0;
    KeyedState::Putting rows_[kPiece];
    char values_[kPiece][kFixedSize<S>];
  };

  void Load(std::span<Entry* const> fresh, const uint64_t* hashes, UserState& state) {
    used_ += fresh.size();
    std::string_view keys[kPiece];
    KeyedState::Found found[kPiece];
    for (size_t i = 0; i < fresh.size(); ++i) keys[i] = fresh[i]->key_bytes();
    state.LookAll({keys, fresh.size()}, hashes, found);
    for (size_t i = 0; i < fresh.size(); ++i) {
      Entry& entry = *fresh[i];
      entry.Set(DecodeState<S>(found[i].value));
      entry.slot = found[i].place.slot;
      entry.known = found[i].place.known;
      entry.stored = entry.present;
      entry.changed = false;
      entry.noted = 0;
    }
  }

  using Cells = std::vector<Entry, LargeAllocator<Entry>>;

  uint64_t PlaceFor(const char* key) const {
    uint64_t at = HashOfKey<K>(key, kFixedSize<K>) & mask_;
    while (!cells_[at].IsOf(key) && cells_[at].used) at = (at + 1) & mask_;
    return at;
  }
  void Grow() {
    Cells before(cells_.empty() ? 2 * kPiece : cells_.size() * 2);
    before.swap(cells_);
    mask_ = cells_.size() - 1;
    for (const Entry& entry : before) {
      if (entry.used) cells_[PlaceFor(entry.key)] = entry;
    }
    for (uint32_t& cell : new_) cell = static_cast<uint32_t>(PlaceFor(before[cell].key));
  }
  // A table that is much too large costs every batch a walk.
  void Shrink() {
    if (used_ >= cells_.size() / 16) return;
    Cells(std::max<size_t>(2 * kPiece, cells_.size() / 4)).swap(cells_);
    mask_ = cells_.size() - 1;
  }

  Cells cells_;  // open addressing; at most half of them are in use
  uint64_t mask_ = 0;
  size_t used_ = 0;
  std::vector<uint32_t> new_;  // cells of keys that got a state, in that order
};

}  // namespace sluice::internal
