#include "common/large_memory.h"

#include <sys/mman.h>

#include <cstdint>

namespace sluice {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

size_t WholePages(size_t bytes) { return (bytes + kHugePage - 1) & ~(kHugePage - 1); }

}  // namespace

void* MapLargeMemory(size_t bytes) {
  // What lies before and behind the aligned part is given back.
  const size_t size = WholePages(bytes);
  void* const mapped = mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  const auto at = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t begin = (at + kHugePage - 1) & ~(kHugePage - 1);
  if (begin != at) munmap(mapped, begin - at);
  const uintptr_t end = at + size + kHugePage;
  if (begin + size != end) munmap(reinterpret_cast<void*>(begin + size), end - begin - size);
  void* const memory = reinterpret_cast<void*>(begin);
  madvise(memory, size, MADV_HUGEPAGE);  // a hint
  return memory;
}

void UnmapLargeMemory(void* memory, size_t bytes) { munmap(memory, WholePages(bytes)); }

}  // namespace sluice
