// The floors of the Yahoo benchmark. Compiled twice, as bench/floors.h says.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "bench/ysb.h"

namespace sluice::bench {

// What a floor keeps from pass to pass. Events come in the order of their times: a window is closed
// by the first event behind it.
class YsbFloor {
 public:
  YsbFloor(const YsbAds& ads, bool texts);

  // An open table: the ad's number, or the first 32 characters of its UUID; campaign + 1, or 0.
  struct Slot {
    std::array<uint64_t, 4> ad{};
    int64_t campaign = 0;
  };
  struct NumberSlot {
    int64_t ad = 0;
    int64_t campaign = 0;
  };
  std::vector<Slot> texts;
  std::vector<NumberSlot> numbers;
  int shift = 0;  // the top bits of a hash are the place

  std::vector<int64_t> views;  // of the open window, by campaign
  int64_t window = -1;
  std::vector<YsbRow> closed;

  void CloseWindow();
};

#define SLUICE_DECLARE_FLOORS(flags)                                        \
  namespace flags {                                                         \
  void CountYsb(std::span<const YsbEvent> events, YsbFloor& floor);         \
  void CountYsb(std::span<const std::string_view> events, YsbFloor& floor); \
  }
SLUICE_DECLARE_FLOORS(floors_o2)
SLUICE_DECLARE_FLOORS(floors_native)
#undef SLUICE_DECLARE_FLOORS

}  // namespace sluice::bench
