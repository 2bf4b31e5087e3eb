// A block's name as a plain value: what tables, pins and the unix socket use.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace sluice {

struct BlockKey {
  uint64_t job_instance = 0;
  uint64_t incarnation = 0;
  uint64_t number = 0;
  uint64_t stream = 0;

  // Blocks of one receiver incarnation are neighbours, in the order of sealing.
  friend auto operator<=>(const BlockKey& a, const BlockKey& b) {
    if (auto c = a.job_instance <=> b.job_instance; c != 0) return c;
    if (auto c = a.stream <=> b.stream; c != 0) return c;
    if (auto c = a.incarnation <=> b.incarnation; c != 0) return c;
    return a.number <=> b.number;
  }
  friend bool operator==(const BlockKey&, const BlockKey&) = default;
};

struct BlockKeyHash {
  size_t operator()(const BlockKey& key) const {
    uint64_t h = key.job_instance * 0x9e3779b97f4a7c15u;
    h = (h ^ key.incarnation) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (key.number + (key.stream << 48))) * 0x94d049bb133111ebu;
    return static_cast<size_t>(h ^ (h >> 31));
  }
};

}  // namespace sluice
