#include "driver/daemon/slot_allocation.h"

#include <algorithm>

namespace sluice {
namespace {

using Workers = std::map<std::string, uint32_t>;


// Slots held on live workers: what is held on one that is away cannot be used.
uint32_t Usable(const SlotClaim& claim, const Workers& live) {
  uint32_t sum = 0;
  for (const auto& [worker, slots] : claim.held) sum += live.count(worker) != 0 ? slots : 0;
  return sum;
}

// Free slots per worker, after the latest claims have given back what a worker no longer has.
Workers Shrink(const Workers& live, std::vector<SlotClaim>* claims) {
  Workers free = live;
  for (SlotClaim& claim : *claims) {
    for (auto& [worker, slots] : claim.held) {
      auto left = free.find(worker);
      if (left == free.end()) continue;
      slots = std::min(slots, left->second);
      left->second -= slots;
    }
  }
  return free;
}

}  // namespace

bool AllocateSlots(const Workers& live_workers, std::vector<SlotClaim>* claims) {
  std::vector<SlotClaim> before = *claims;
  Workers free = Shrink(live_workers, claims);
  for (SlotClaim& claim : *claims) {
    uint32_t limit = claim.max_slots == 0 ? UINT32_MAX : claim.max_slots;
    uint32_t usable = Usable(claim, live_workers);
    while (usable < limit) {
      auto most = std::max_element(free.begin(), free.end(), [](const auto& a, const auto& b) {
        return a.second < b.second;
      });
      if (most == free.end() || most->second == 0) break;
      uint32_t take = claim.max_slots == 0 ? most->second : 1;
      claim.held[most->first] += take;
      most->second -= take;
      usable += take;
    }
    std::erase_if(claim.held, [](const auto& entry) { return entry.second == 0; });
  }
  for (size_t i = 0; i < claims->size(); ++i) {
    if ((*claims)[i].held != before[i].held) return true;
  }
  return false;
}

}  // namespace sluice
