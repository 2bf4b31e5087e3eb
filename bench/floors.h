// Hand-written single-thread programs for the same lines: what the engine is measured against.
//
// Each is compiled twice from one source: in floors_o2 with the flags that jobs are compiled with,
// in floors_native as well as the compiler can for this machine.
#pragma once

#include <cstdint>

#include "bench/lines.h"

namespace sluice::bench {

struct WordSums {
  uint64_t distinct = 0;
  uint64_t total = 0;
  uint64_t checksum = 0;  // sum over words of (hash of the word) * count
  bool operator==(const WordSums&) const = default;
};

#define SLUICE_DECLARE_FLOORS(flags)                                                        \
  namespace flags {                                                                         \
  /* How many lines hold "zqxj": line by line; by one search over the whole buffer. */      \
  uint64_t GrepByLine(const Lines& lines);                                                  \
  uint64_t GrepWholeBuffer(const Lines& lines);                                             \
  /* Vectorised tokeniser and a flat table with inline keys, probed directly or through */  \
  /* a ring of 32 prefetched keys. */                                                       \
  WordSums CountWordsDirect(const Lines& lines);                                            \
  WordSums CountWordsRing(const Lines& lines);                                              \
  /* What most people would write: find and std::unordered_map. */                          \
  WordSums CountWordsPlainly(const Lines& lines);                                           \
  /* The four steps of the chain benchmark in one loop: rows that are left, and their sum. */ \
  int64_t CountFourSteps(const int64_t* numbers, uint64_t count);                           \
  int64_t SumFourSteps(const int64_t* numbers, uint64_t count);                             \
  }
SLUICE_DECLARE_FLOORS(floors_o2)
SLUICE_DECLARE_FLOORS(floors_native)
#undef SLUICE_DECLARE_FLOORS

}  // namespace sluice::bench
