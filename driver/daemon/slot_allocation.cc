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

// The live worker on which the claim holds most, of equal ones the first; null when it holds none.
std::pair<const std::string, uint32_t>* Most(SlotClaim& claim, const Workers& live) {
  std::pair<const std::string, uint32_t>* most = nullptr;
  for (auto& held : claim.held) {
    if (live.count(held.first) == 0 || held.second == 0) continue;
    if (most == nullptr || held.second > most->second) most = &held;
  }
  return most;
}

// One slot from the claim without a bound that has most, if that is more than its share.
bool GiveOne(const Workers& live, uint32_t share, std::vector<SlotClaim>* claims,
             SlotClaim* taker) {
  SlotClaim* giver = nullptr;
  for (SlotClaim& claim : *claims) {
    if (claim.max_slots != 0 || Usable(claim, live) <= share) continue;
    if (giver == nullptr || Usable(claim, live) > Usable(*giver, live)) giver = &claim;
  }
  if (giver == nullptr) return false;
  auto* from = Most(*giver, live);
  --from->second;
  ++taker->held[from->first];
  return true;
}

// Who waits is served in order of submission, up to its share.
void Share(const Workers& live, std::vector<SlotClaim>* claims) {
  uint32_t total = 0;
  for (const auto& [worker, slots] : live) total += slots;
  const uint32_t share = std::max<uint32_t>(1, total / std::max<size_t>(1, claims->size()));
  for (SlotClaim& claim : *claims) {
    if (!claim.asks || Usable(claim, live) != 0) continue;
    uint32_t wanted = claim.max_slots == 0 ? share : std::min(share, claim.max_slots);
    while (wanted > 0 && GiveOne(live, share, claims, &claim)) --wanted;
  }
}

bool AllocateSlots(const Workers& live_workers, std::vector<SlotClaim>* claims, bool share) {
  std::vector<SlotClaim> before = *claims;
  Workers free = Shrink(live_workers, claims);
  for (SlotClaim& claim : *claims) {
    uint32_t limit = claim.max_slots == 0 ? UINT32_MAX : claim.max_slots;
    uint32_t usable = Usable(claim, live_workers);
    for (; usable > limit; --usable) {  // what was away is back beside what replaced it
      auto* most = Most(claim, live_workers);
      --most->second;
      ++free[most->first];
    }
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
  }
  if (share) Share(live_workers, claims);
  for (size_t i = 0; i < claims->size(); ++i) {
    if ((*claims)[i].held != before[i].held) return true;
  }
  return false;
}

}  // namespace sluice
