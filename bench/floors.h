// Hand-written single-thread programs for the same lines: what the kernels are measured against.
#pragma once

#include <cstdint>

#include "bench/lines.h"

namespace sluice::bench {

// How many lines hold "zqxj", line by line; and by one search over the whole buffer.
uint64_t GrepByLine(const Lines& lines);
uint64_t GrepWholeBuffer(const Lines& lines);

struct WordSums {
  uint64_t distinct = 0;
  uint64_t total = 0;
  uint64_t checksum = 0;  // sum over words of (hash of the word) * count
  bool operator==(const WordSums&) const = default;
};

// Vectorised tokeniser and a flat table with inline keys, probed directly or through a ring of 32
// prefetched keys.
WordSums CountWordsDirect(const Lines& lines);
WordSums CountWordsRing(const Lines& lines);
// What most people would write: find and std::unordered_map<std::string, int64_t>.
WordSums CountWordsPlainly(const Lines& lines);

}  // namespace sluice::bench
