// Sorting views of bytes, many of which begin alike.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

// The places of the keys, ascending by the keys' bytes.
inline std::vector<uint32_t> AscendingOrder(std::span<const std::string_view> keys) {
  std::vector<uint32_t> order(keys.size());
  if (keys.empty()) return order;
  size_t common = keys[0].size();  // that all begin with
  for (const std::string_view key : keys) {
    const char* const first = keys[0].data();
    const auto end = std::mismatch(first, first + std::min(common, key.size()), key.data());
    common = static_cast<size_t>(end.first - first);
  }
  // Eight bytes behind that decide nearly always.
  std::vector<std::pair<uint64_t, uint32_t>> heads(keys.size());
  for (uint32_t i = 0; i < keys.size(); ++i) {
    uint64_t head = 0;
    std::memcpy(&head, keys[i].data() + common, std::min<size_t>(8, keys[i].size() - common));
    heads[i] = {__builtin_bswap64(head), i};
  }
  std::sort(heads.begin(), heads.end(), [&](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : keys[a.second] < keys[b.second];
  });
  for (uint32_t i = 0; i < keys.size(); ++i) order[i] = heads[i].second;
  return order;
}

}  // namespace sluice
