// The states that one batch touches in one partition, decoded: keys and states of one small size
// each, so that a record costs one place in memory, whatever the state behind it costs. That is
// asked once for each key of the batch, and told of the changes when the records are over.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
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

  // For keys, at most kPiece, that Find will be called with soon: asks for the memory.
  void Ask(std::span<const char* const> keys, uint64_t* hashes) const {
    for (size_t i = 0; i < keys.size(); ++i) {
      hashes[i] = HashOfKey<K>(keys[i], kFixedSize<K>);
      __builtin_prefetch(cells_.data() + (hashes[i] & mask_), 1);
    }
  }
  // cells[i] becomes the cell of keys[i], canonical bytes; good until the next call.
  void Find(std::span<const char* const> keys, const uint64_t* hashes, UserState& state,
            uint32_t* cells) {
    if ((used_ + kPiece) * 3 > cells_.size()) Grow();
    uint32_t fresh[kPiece];
    uint64_t fresh_hashes[kPiece];
    uint32_t fresh_count = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      const uint32_t cell = CellOf(keys[i], hashes[i]);
      cells[i] = cell;
      if (marks_[cell].used) [[likely]] continue;
      std::memcpy(cells_[cell].key, keys[i], kFixedSize<K>);
      marks_[cell] = {.used = 1};
      fresh_hashes[fresh_count] = hashes[i];
      fresh[fresh_count++] = cell;
    }
    if (fresh_count != 0) Load({fresh, fresh_count}, fresh_hashes, state);
  }

  std::string_view KeyOf(uint32_t cell) const { return cells_[cell].key_bytes(); }
  SLUICE_INLINED std::optional<S> Get(uint32_t cell) const {
    std::optional<S> state;
    if (marks_[cell].present) state.emplace(cells_[cell].value);
    return state;
  }
  // The function has updated the state or removed it. Inlined, with Get: an optional that is in
  // memory is copied as a whole, which waits for the stores of its parts.
  SLUICE_INLINED void Set(uint32_t cell, const std::optional<S>& state) {
    Mark& mark = marks_[cell];
    mark.changed = 1;
    mark.present = state.has_value();
    if (!state.has_value()) return;
    cells_[cell].value = *state;
    if (!(mark.stored | mark.noted)) [[unlikely]] Note(cell);
  }

  // Tells the state of all changes, or with `all` of every key: those that are new to it come in
  // the order in which they got their state. Afterwards this is empty, and keeps its memory.
  void Save(bool all, int64_t due_ms, UserState& state) {
    Rows rows(due_ms, state);
    for (uint32_t cell = 0; cell < marks_.size(); ++cell) {
      const Mark mark = std::exchange(marks_[cell], Mark{.present = marks_[cell].present});
      if (!mark.stored || !(mark.changed || all)) continue;
      if (mark.present) {
        rows.Add(cells_[cell], slots_[cell]);
      } else {
        state.Remove(cells_[cell].key_bytes());
      }
    }
    for (const uint32_t cell : new_) {
      if (marks_[cell].present) rows.Add(cells_[cell], slots_[cell]);
    }
    rows.Put();
    Shrink();
    new_.clear();
    used_ = 0;
  }

  // Forgets what a Run that threw has left.
  void Clear() {
    if (used_ == 0) return;
    std::fill(marks_.begin(), marks_.end(), Mark());
    new_.clear();
    used_ = 0;
  }

 private:
  // What every record of a key reads, as little as can be.
  struct alignas(std::bit_ceil(sizeof(S) + kFixedSize<K>)) Cell {
    S value{};
    char key[kFixedSize<K>];
    std::string_view key_bytes() const { return {key, sizeof(key)}; }
  };
  // What became of a cell in the batch.
  struct Mark {
    uint8_t used : 1 = 0;
    uint8_t present : 1 = 0;  // there is a value
    uint8_t changed : 1 = 0;
    uint8_t stored : 1 = 0;   // the state holds the key
    uint8_t noted : 1 = 0;    // in new_
  };
  // The place of a key in the state, if `known`.
  struct Slot {
    uint32_t slot = 0;
    bool known = false;
  };

  // Hands entries to the state, some at a time.
  class Rows {
   public:
    Rows(int64_t due_ms, UserState& state) : due_ms_(due_ms), state_(state) {}
    void Add(const Cell& cell, const Slot& slot) {
      RecordCodec<S>::template Write<false>(cell.value, values_[count_]);
      rows_[count_] = {{.hash = HashOfKey<K>(cell.key, kFixedSize<K>),
                        .slot = slot.slot,
                        .known = slot.known},
                       cell.key_bytes(),
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

  // That of the key, or the unused one that is to be.
  uint32_t CellOf(const char* key, uint64_t hash) const {
    uint64_t at = hash & mask_;
    while (true) {
      const bool used = marks_[at].used;
      const bool same = std::memcmp(cells_[at].key, key, kFixedSize<K>) == 0;
      if (same & used) [[likely]] break;
      if (!used) break;
      at = (at + 1) & mask_;
    }
    return static_cast<uint32_t>(at);
  }

  [[gnu::noinline]] void Note(uint32_t cell) {
    marks_[cell].noted = 1;
    new_.push_back(cell);
  }

  void Load(std::span<const uint32_t> fresh, const uint64_t* hashes, UserState& state) {
    used_ += fresh.size();
    std::string_view keys[kPiece];
    KeyedState::Found found[kPiece];
    for (size_t i = 0; i < fresh.size(); ++i) keys[i] = cells_[fresh[i]].key_bytes();
    state.LookAll({keys, fresh.size()}, hashes, found);
    for (size_t i = 0; i < fresh.size(); ++i) {
      const std::optional<S> before = DecodeState<S>(found[i].value);
      if (before.has_value()) cells_[fresh[i]].value = *before;
      marks_[fresh[i]].present = marks_[fresh[i]].stored = before.has_value();
      slots_[fresh[i]] = {found[i].place.slot, found[i].place.known};
    }
  }

  void Resize(size_t cells) {
    Cells(cells).swap(cells_);
    marks_.assign(cells, Mark());
    slots_.assign(cells, Slot());
    mask_ = cells - 1;
  }
  void Grow() {
    const Cells cells = std::exchange(cells_, Cells());
    const std::vector<Mark> marks = std::exchange(marks_, {});
    const std::vector<Slot> slots = std::exchange(slots_, {});
    Resize(cells.empty() ? 4 * kPiece : cells.size() * 2);
    const auto place_of = [&](const Cell& cell) {
      return CellOf(cell.key, HashOfKey<K>(cell.key, kFixedSize<K>));
    };
    for (size_t i = 0; i < cells.size(); ++i) {
      if (!marks[i].used) continue;
      const uint32_t to = place_of(cells[i]);
      cells_[to] = cells[i];
      marks_[to] = marks[i];
      slots_[to] = slots[i];
    }
    for (uint32_t& cell : new_) cell = place_of(cells[cell]);
  }
  // A table that is much too large costs every batch a walk.
  void Shrink() {
    if (used_ >= cells_.size() / 16 || cells_.size() <= 4 * kPiece) return;
    Resize(std::max<size_t>(4 * kPiece, cells_.size() / 4));
  }

  using Cells = std::vector<Cell, LargeAllocator<Cell>>;

  // Open addressing; at most a third of them are in use, so that most keys are found at once: a
  // branch that goes the unlikely way costs as much as all else that a record does here.
  Cells cells_;
  std::vector<Mark> marks_;  // by cell
  std::vector<Slot> slots_;  // by cell; what a record does not need
  uint64_t mask_ = 0;
  size_t used_ = 0;
  std::vector<uint32_t> new_;  // cells of keys that got a state, in that order
};

}  // namespace sluice::internal
