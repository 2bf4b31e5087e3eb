// A set of slots of a state table: one bit each, so that all of them stay in the cache and come in
// the slots' order.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace sluice::internal {

class SlotSet {
 public:
  // True: it was not there.
  bool Insert(uint32_t slot) {
    const size_t word = slot / 64;
    if (word >= words_.size()) words_.resize(word + word / 2 + 16);
    const uint64_t bit = uint64_t{1} << slot % 64;
    if ((words_[word] & bit) != 0) return false;
    words_[word] |= bit;
    ++size_;
    return true;
  }
  void Erase(uint32_t slot) {
    if (!Contains(slot)) return;
    words_[slot / 64] &= ~(uint64_t{1} << slot % 64);
    --size_;
  }
  bool Contains(uint32_t slot) const {
    return slot / 64 < words_.size() && (words_[slot / 64] >> slot % 64 & 1) != 0;
  }
  uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void Clear() {
    words_.clear();
    size_ = 0;
  }

  // Puts the first members from `from` on into `out`, at most `most`, and says how many.
  uint32_t Next(uint32_t from, uint32_t* out, uint32_t most) const {
    uint32_t count = 0;
    if (most == 0 || from / 64 >= words_.size()) return 0;
    uint64_t left = words_[from / 64] & ~uint64_t{0} << from % 64;
    for (size_t word = from / 64;;) {
      for (; left != 0; left &= left - 1) {
        out[count++] = static_cast<uint32_t>(word * 64) + std::countr_zero(left);
        if (count == most) return count;
      }
      if (++word == words_.size()) return count;
      left = words_[word];
    }
  }
  // visit(slot) for each.
  template <class Visit>
  void ForEach(const Visit& visit) const {
    for (size_t word = 0; word < words_.size(); ++word) {
      for (uint64_t left = words_[word]; left != 0; left &= left - 1) {
        visit(static_cast<uint32_t>(word * 64) + std::countr_zero(left));
      }
    }
  }

 private:
  std::vector<uint64_t> words_;
  uint32_t size_ = 0;
};

}  // namespace sluice::internal
