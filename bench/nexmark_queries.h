// What the Nexmark queries give, as job and floor compare it: how many rows, and a sum over them
// that does not depend on their order.
#pragma once

#include <string_view>

#include "bench/nexmark.h"
#include "bench/random.h"

namespace sluice::bench {

inline constexpr int64_t kTumbleMs = 10'000;                 // q7, q8
inline constexpr int64_t kSliceMs = 2'000;                   // q5 slides by this
inline constexpr int64_t kSlices = 5;                        // and looks back over so many
inline int64_t CentsOfQ1(int64_t cents) { return cents * 908 / 1000; }
inline bool WantedByQ2(int64_t auction) { return auction % 123 == 0; }
inline bool WantedByQ3(std::string_view state) {
  return state == "OR" || state == "ID" || state == "CA";
}

struct Rows {
  uint64_t count = 0;
  uint64_t sum = 0;
  bool operator==(const Rows&) const = default;

  void Add(uint64_t row) {
    ++count;
    sum += row;
  }
};

// Of numbers and short texts, in order.
inline uint64_t RowOf() { return 1; }
template <class... More>
uint64_t RowOf(int64_t first, const More&... more);
template <class... More>
uint64_t RowOf(std::string_view first, const More&... more) {
  uint64_t word = first.size();
  for (const char c : first) word = Mix(word ^ static_cast<unsigned char>(c));
  return Mix(word + RowOf(more...) * 31);
}
template <class... More>
uint64_t RowOf(int64_t first, const More&... more) {
  return Mix(static_cast<uint64_t>(first) + RowOf(more...) * 31);
}

}  // namespace sluice::bench
