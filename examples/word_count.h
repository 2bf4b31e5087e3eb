// How often words come: in each batch, and in all so far.
#pragma once

#include <utility>

#include "sluice/sluice.h"

namespace examples {

// (word, count) for the words of each batch.
inline auto CountWords(const sluice::DStream<std::string>& lines) {
  return lines.FlatMap(sluice::SplitWords)
      .Map([](std::string_view word) { return std::pair{word, int64_t{1}}; })
      .ReduceByKey(std::plus<>());
}

inline std::optional<int64_t> AddToTotal(std::span<const int64_t> counts,
                                         std::optional<int64_t> total) {
  int64_t sum = total.value_or(0);
  for (const int64_t count : counts) sum += count;
  return sum;
}

// (word, total) for all words so far, at every batch.
inline auto Totals(const sluice::DStream<std::pair<std::string, int64_t>>& counts) {
  return counts.UpdateStateByKey("totals", AddToTotal);
}

}  // namespace examples
