#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "checkpoint/state_part.h"
#include "checkpoint/state_pieces.h"

namespace sluice {
namespace {

uint64_t HeadOf(std::string_view key) {
  char first[8] = {};
  std::memcpy(first, key.data(), std::min<size_t>(key.size(), 8));
  uint64_t head;
  std::memcpy(&head, first, 8);
  return __builtin_bswap64(head);
}

}  // namespace

void StateEntries::reserve(size_t count) {
  constexpr size_t kSmallEntry = 32;
  places_.reserve(count);
  bytes_.reserve(count * kSmallEntry);
}

void StateEntries::Add(std::string_view key, bool removed, std::string_view value,
                       const int64_t* timer_ms, uint64_t insertion) {
  char head[1 + 2 * sizeof(uint64_t)];
  size_t size = 1;
  head[0] = static_cast<char>((removed ? internal::kEntryRemoved : 0) |
                              (timer_ms != nullptr ? internal::kEntryHasTimer : 0));
  std::memcpy(head + size, &insertion, sizeof(insertion));
  size += sizeof(insertion);
  if (timer_ms != nullptr) {
    std::memcpy(head + size, timer_ms, sizeof(*timer_ms));
    size += sizeof(*timer_ms);
  }
  places_.push_back({HeadOf(key), bytes_.size(), static_cast<uint32_t>(key.size()),
                     static_cast<uint32_t>(size + value.size())});
  bytes_.append(key).append(head, size).append(value);
  has_bad_removal_ |= removed && (!value.empty() || timer_ms != nullptr);
}

// Least digit first. Digits in which no two heads differ are left out: keys that are small numbers
// differ in two or three.
void StateEntries::SortByHead(std::vector<Place>& places) {
  constexpr int kBits = 11;
  constexpr size_t kDigits = size_t{1} << kBits;
  uint64_t differing = 0;
  for (const Place& place : places) differing |= place.head ^ places.front().head;
  std::vector<Place> sorted(places.size());
  std::array<uint32_t, kDigits> begins;
  for (int shift = 0; shift < 64; shift += kBits) {
    if ((differing >> shift & (kDigits - 1)) == 0) continue;
    begins.fill(0);
    for (const Place& place : places) ++begins[place.head >> shift & (kDigits - 1)];
    uint32_t begin = 0;
    for (uint32_t& count : begins) begin += std::exchange(count, begin);
    for (const Place& place : places) {
      sorted[begins[place.head >> shift & (kDigits - 1)]++] = place;
    }
    places.swap(sorted);
  }
}

bool StateEntries::Sort() {
  constexpr size_t kFew = 256;
  const auto key_of = [&](const Place& place) {
    return std::string_view(bytes_.data() + place.at, place.key_size);
  };
  const auto less = [&](const Place& a, const Place& b) {
    return a.head != b.head ? a.head < b.head : key_of(a) < key_of(b);
  };
  if (places_.size() < kFew) {
    std::sort(places_.begin(), places_.end(), less);
  } else {
    SortByHead(places_);
  }
  for (size_t i = 0; i < places_.size();) {
    size_t end = i + 1;
    while (end < places_.size() && places_[end].head == places_[i].head) ++end;
    if (end - i > 1) std::sort(places_.begin() + i, places_.begin() + end, less);
    for (++i; i < end; ++i) {
      if (key_of(places_[i - 1]) == key_of(places_[i])) return false;
    }
  }
  return true;
}

}  // namespace sluice
