// The Nexmark queries as jobs, as a user writes them.
#pragma once

#include <atomic>
#include <string>

#include "bench/nexmark_queries.h"
#include "sluice/sluice.h"

namespace sluice::bench {

// What has come out, from any thread.
struct SharedRows {
  std::atomic<uint64_t> count{0};
  std::atomic<uint64_t> sum{0};
  void Add(const Rows& rows) {
    count += rows.count;
    sum += rows.sum;
  }
  Rows Get() const { return {count, sum}; }
};

// Declares query q (0 1 2 3 5 7 8) over the events; what it gives is added to `out`.
void DeclareNexmark(int q, const DStream<std::string>& events, SharedRows& out);

}  // namespace sluice::bench
