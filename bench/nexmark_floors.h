// The floors of the Nexmark queries: one single-thread program for each, over the events as they
// come, in the order of their times. Compiled twice, as bench/floors.h says.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bench/nexmark_queries.h"

namespace sluice::bench {

// Counts by auction: an open table with linear probing; 0 is no auction.
class AuctionCounts {
 public:
  struct Slot {
    int64_t auction = 0;
    int64_t count = 0;
  };
  AuctionCounts() : slots_(1 << 10) {}
  int64_t Add(int64_t auction, int64_t count) {
    size_t at = Place(auction);
    while (slots_[at].auction != auction && slots_[at].auction != 0) {
      at = (at + 1) & (slots_.size() - 1);
    }
    if (slots_[at].auction == 0 && ++used_ * 2 > slots_.size()) {
      Grow();
      return Add(auction, count);
    }
    slots_[at].auction = auction;
    return slots_[at].count += count;
  }
  // Those with a count; 0 stays in its slot until Clear.
  template <class F>
  void ForEach(const F& f) const {
    for (const Slot& slot : slots_) {
      if (slot.count != 0) f(slot.auction, slot.count);
    }
  }
  void Clear() {
    slots_.assign(slots_.size(), Slot());
    used_ = 0;
  }

 private:
  size_t Place(int64_t auction) const {
    return Mix(static_cast<uint64_t>(auction)) & (slots_.size() - 1);
  }
  void Grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    used_ = 0;
    for (const Slot& slot : old) {
      if (slot.count != 0) Add(slot.auction, slot.count);
    }
  }
  std::vector<Slot> slots_;
  size_t used_ = 0;
};

// What a query keeps from pass to pass.
struct NexmarkFloor {
  Rows rows;
  std::vector<char> passed = std::vector<char>(1 << 20);  // where q0 and q1 put what they pass on
  struct Seller {
    std::string name, city, state;
    bool known = false;
    std::vector<int64_t> auctions;  // that wait for the person
  };
  std::unordered_map<int64_t, Seller> sellers;  // q3
  AuctionCounts slices[kSlices];                // q5, by slice mod kSlices
  int64_t slice = -1;
  int64_t window = -1;                          // q7, q8: the open one
  std::vector<Bid> highest;                     // q7
  struct Newcomer {
    std::string name;
    bool known = false, sells = false;
  };
  std::unordered_map<int64_t, Newcomer> newcomers;  // q8: of the open window
};

using NexmarkFloorQuery = void (*)(std::span<const std::string_view> events, NexmarkFloor& floor);

#define SLUICE_DECLARE_FLOORS(flags)        \
  namespace flags {                         \
  NexmarkFloorQuery NexmarkFloorOf(int q);  \
  }
SLUICE_DECLARE_FLOORS(floors_o2)
SLUICE_DECLARE_FLOORS(floors_native)
#undef SLUICE_DECLARE_FLOORS

}  // namespace sluice::bench
