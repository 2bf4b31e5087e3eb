// The lines of the Grep and WordCount benchmarks: 99 characters each, words of 3 to 9 letters from
// a vocabulary under a Zipf law with exponent 1, padded with spaces. A pure function of its
// arguments.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

struct Lines {
  std::string bytes;           // without line ends; 64 zero bytes behind the last
  std::vector<uint32_t> ends;  // where each line ends
};

inline constexpr size_t kLineSize = 99;

// Lines of partition `partition`; a thousandth of them hold "zqxj" at column 40 when `marked`.
Lines MakeLines(uint64_t count, uint32_t vocabulary, uint64_t partition, bool marked);

// One view per line. `lines` outlives them.
std::vector<std::string_view> Views(const Lines& lines);

}  // namespace sluice::bench
