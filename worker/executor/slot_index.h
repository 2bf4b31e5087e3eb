// The hash index of a state table: open addressing over (hash, slot number), 8 bytes an entry.
// Knows nothing of keys; the table compares them.
#pragma once

#include <cstdint>
#include <vector>

#include "common/large_memory.h"

namespace sluice::internal {

class SlotIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  SlotIndex() : cells_(16) {}

  // The slot for which `equal(slot)` holds among those with this hash, or kNone.
  template <class Equal>
  uint32_t Find(uint64_t hash, const Equal& equal) const {
    const uint32_t tag = static_cast<uint32_t>(hash);
    for (uint32_t at = tag & mask();; at = (at + 1) & mask()) {
      const Cell& cell = cells_[at];
      if (cell.slot == kNone) return kNone;
      if (cell.tag == tag && equal(cell.slot)) return cell.slot;
    }
  }
  // In two steps, some calls apart: the cell, then the slot that it most likely names, or kNone.
  void Prefetch(uint64_t hash) const {
    __builtin_prefetch(&cells_[static_cast<uint32_t>(hash) & mask()]);
  }
  uint32_t Likely(uint64_t hash) const {
    return Find(hash, [](uint32_t) { return true; });
  }
  // `slot` must not be in the index.
  void Insert(uint64_t hash, uint32_t slot) {
    if ((count_ + 1) * 3 > cells_.size() * 2) Grow(cells_.size() * 2);
    ++count_;
    Place({static_cast<uint32_t>(hash), slot});
  }
  // `from` must be in the index.
  void Replace(uint64_t hash, uint32_t from, uint32_t to) { cells_[Locate(hash, from)].slot = to; }
  void Erase(uint64_t hash, uint32_t slot) {
    uint32_t hole = Locate(hash, slot);
    // Close the gap: whatever probed across the hole moves into it.
    for (uint32_t at = (hole + 1) & mask(); cells_[at].slot != kNone; at = (at + 1) & mask()) {
      const uint32_t home = cells_[at].tag & mask();
      if (((at - home) & mask()) >= ((at - hole) & mask())) {
        cells_[hole] = cells_[at];
        hole = at;
      }
    }
    cells_[hole] = Cell{};
    --count_;
  }
  void Clear() {
    cells_.assign(cells_.size(), Cell{});
    count_ = 0;
  }
  void Reserve(size_t count) {
    size_t size = cells_.size();
    while (count * 3 > size * 2) size *= 2;
    if (size != cells_.size()) Grow(size);
  }

 private:
  struct Cell {
    uint32_t tag = 0;
    uint32_t slot = kNone;
  };
  using Cells = std::vector<Cell, LargeAllocator<Cell>>;

  uint32_t mask() const { return static_cast<uint32_t>(cells_.size() - 1); }
  uint32_t Locate(uint64_t hash, uint32_t slot) const {
    uint32_t at = static_cast<uint32_t>(hash) & mask();
    while (cells_[at].slot != slot) at = (at + 1) & mask();
    return at;
  }
  void Place(Cell cell) {
    uint32_t at = cell.tag & mask();
    while (cells_[at].slot != kNone) at = (at + 1) & mask();
    cells_[at] = cell;
  }
  void Grow(size_t size) {
    Cells old(size);
    old.swap(cells_);
    for (const Cell& cell : old) {
      if (cell.slot != kNone) Place(cell);
    }
  }

  Cells cells_;  // a power of two, at most two thirds full
  size_t count_ = 0;
};

}  // namespace sluice::internal
