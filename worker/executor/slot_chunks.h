// The slots of a state table: an array that grows without moving, each chunk twice as large as the
// one before, so that the slots of a large table lie in few large pieces of memory.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "common/large_memory.h"

namespace sluice::internal {

// Of a T whose memory may begin as zeros. Not thread-safe.
template <class T>
class SlotChunks {
 public:
  SlotChunks() = default;
  SlotChunks(SlotChunks&&) = default;
  SlotChunks& operator=(SlotChunks&&) = default;

  T& operator[](uint32_t i) const {
    const uint32_t at = i + kFirst;
    const int chunk = std::bit_width(at) - kFirstBits - 1;
    return chunks_[chunk].get()[at - (kFirst << chunk)];
  }
  // Makes room for one with this index.
  void Reach(uint32_t i) {
    while (i >= size()) {
      const size_t bytes = sizeof(T) * (size_t{kFirst} << chunks_.size());
      chunks_.emplace_back(static_cast<T*>(Allocate(bytes)), Free{bytes});
    }
  }
  // Gives back what only larger indices need.
  void KeepBelow(uint32_t count) {
    while (!chunks_.empty() && (kFirst << (chunks_.size() - 1)) - kFirst >= count) {
      chunks_.pop_back();
    }
  }
  // How many there is room for.
  uint32_t size() const { return (kFirst << chunks_.size()) - kFirst; }

 private:
  static constexpr int kFirstBits = 8;
  static constexpr uint32_t kFirst = 1u << kFirstBits;

  struct Free {
    size_t bytes = 0;
    void operator()(T* slots) const {
      std::destroy_n(slots, bytes / sizeof(T));
      if (bytes >= kLargeMemory) return UnmapLargeMemory(slots, bytes);
      ::operator delete(slots, std::align_val_t(alignof(T)));
    }
  };
  static void* Allocate(size_t bytes) {
    if (bytes >= kLargeMemory) return MapLargeMemory(bytes);
    return std::memset(::operator new(bytes, std::align_val_t(alignof(T))), 0, bytes);
  }

  std::vector<std::unique_ptr<T, Free>> chunks_;
};

}  // namespace sluice::internal
