#include "common/net/heap.h"

#include <malloc.h>

namespace sluice {

void KeepHeap() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);   // the largest value that glibc takes
  mallopt(M_TRIM_THRESHOLD, 2047 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
}

}  // namespace sluice
