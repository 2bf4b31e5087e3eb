// Memory of large tables that are read at random: in huge pages, where the system has them, so that
// an access costs one miss and not a walk through page tables besides.
#pragma once

#include <cstddef>
#include <new>

namespace sluice {

// Below this, memory comes from the heap.
inline constexpr size_t kLargeMemory = size_t{1} << 20;

// Zeroed. Throws std::bad_alloc.
void* MapLargeMemory(size_t bytes);
void UnmapLargeMemory(void* memory, size_t bytes);

// For containers.
template <class T>
struct LargeAllocator {
  using value_type = T;
  LargeAllocator() = default;
  template <class U>
  LargeAllocator(const LargeAllocator<U>&) {}

  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes >= kLargeMemory) return static_cast<T*>(MapLargeMemory(bytes));
    return static_cast<T*>(::operator new(bytes, std::align_val_t(alignof(T))));
  }
  void deallocate(T* memory, size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes >= kLargeMemory) return UnmapLargeMemory(memory, bytes);
    ::operator delete(memory, std::align_val_t(alignof(T)));
  }
  template <class U>
  bool operator==(const LargeAllocator<U>&) const { return true; }
};

}  // namespace sluice
