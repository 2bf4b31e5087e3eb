#include "bench/ysb_floors.h"

#include <algorithm>
#include <cstring>

#include "bench/random.h"
#include "bench/ysb_json.h"

namespace sluice::bench::SLUICE_FLOORS {
namespace {

constexpr size_t kPiece = 256;

// Views of one window, found first, then looked up: the table's memory is on its way meanwhile.
template <class Slot, class Ad, class Same>
void Count(const Ad* ads, size_t count, const std::vector<Slot>& table, int shift,
           std::vector<int64_t>& views, const Same& same) {
  const size_t mask = table.size() - 1;
  size_t places[kPiece];
  for (size_t i = 0; i < count; ++i) {
    places[i] = same.Hash(ads[i]) >> shift;
    __builtin_prefetch(&table[places[i]]);
  }
  for (size_t i = 0; i < count; ++i) {
    for (size_t at = places[i]; table[at].campaign != 0; at = (at + 1) & mask) {
      if (!same(table[at].ad, ads[i])) continue;
      ++views[static_cast<size_t>(table[at].campaign - 1)];
      break;
    }
  }
}

struct SameNumber {
  static uint64_t Hash(int64_t ad) { return Mix(static_cast<uint64_t>(ad)); }
  bool operator()(int64_t a, int64_t b) const { return a == b; }
};

struct SameText {
  static uint64_t Hash(const char* ad) {
    uint64_t first;
    std::memcpy(&first, ad, 8);
    return Mix(first);
  }
  bool operator()(const std::array<uint64_t, 4>& a, const char* b) const {
    return std::memcmp(a.data(), b, sizeof a) == 0;
  }
};

}  // namespace

void CountYsb(std::span<const YsbEvent> events, YsbFloor& floor) {
  int64_t ads[kPiece];
  for (size_t begin = 0; begin < events.size();) {
    const size_t end = std::min(begin + kPiece, events.size());
    const int64_t window_end = (floor.window + 1) * kYsbWindowMs;
    size_t found = 0, i = begin;
    if (events[end - 1].time_ms < window_end) {
      for (; i < end; ++i) {
        ads[found] = events[i].ad;
        found += events[i].event_type == kYsbView;
      }
    } else {
      for (; i < end && events[i].time_ms < window_end; ++i) {
        ads[found] = events[i].ad;
        found += events[i].event_type == kYsbView;
      }
    }
    Count(ads, found, floor.numbers, floor.shift, floor.views, SameNumber());
    begin = i;
    if (i == end) continue;
    floor.CloseWindow();
    floor.window = events[i].time_ms / kYsbWindowMs;
  }
}

void CountYsb(std::span<const std::string_view> events, YsbFloor& floor) {
  const char* ads[kPiece];
  size_t found = 0;
  const auto count = [&] {
    Count(ads, found, floor.texts, floor.shift, floor.views, SameText());
    found = 0;
  };
  for (const std::string_view event : events) {
    const auto [ad, type, time_ms] = ReadYsb(event);
    if (type != "view") continue;
    if (time_ms >= (floor.window + 1) * kYsbWindowMs) {
      count();
      floor.CloseWindow();
      floor.window = time_ms / kYsbWindowMs;
    }
    ads[found++] = ad.data();
    if (found == kPiece) count();
  }
  count();
}

}  // namespace sluice::bench::SLUICE_FLOORS
