// Asks a state that is on disk for many entries at once, before an operator asks for each.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/plan/kernel.h"

namespace sluice::internal {

// Keeps its memory from call to call.
class StateFetch {
 public:
  // Keys that are fetched at once; an operator calls At for every key that it comes to. With many
  // at once several are often in the same block on disk.
  static constexpr size_t kKeys = 128 << 10;

  // The operator has come to the i-th of `count` keys. `append(i, out)` appends a key of an entry.
  template <class Append>
  void At(KeyedState& state, size_t i, size_t count, const Append& append) {
    if (i % kKeys != 0 || !state.on_disk()) return;
    bytes_.clear();
    ends_.clear();
    for (const size_t end = std::min(count, i + kKeys); i < end; ++i) {
      append(i, bytes_);
      ends_.push_back(bytes_.size());
    }
    Fetch(state);
  }

 private:
  void Fetch(KeyedState& state);

  std::string bytes_;
  std::vector<size_t> ends_;
  std::vector<std::string_view> keys_;
};

}  // namespace sluice::internal
