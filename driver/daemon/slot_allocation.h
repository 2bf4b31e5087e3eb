// Which job may use which slots. A slot belongs to one job at a time. A job takes every free slot,
// or as many as its `max_slots` allows. One that finds none gets its equal share from those that
// have no `max_slots` and more than that share; who asked for a bound keeps what is within it. With
// more jobs than slots the latest wait.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice {

struct SlotClaim {
  std::string job;
  uint32_t max_slots = 0;                  // 0: no limit
  std::map<std::string, uint32_t> held;    // worker id to slots
  bool asks = true;                        // for its share, if it has no slot
};

// Adjusts `held` of the claims, which stand in order of submission, to the workers (id to slots)
// that are alive. What is held on a worker stays held, also while that worker is away; where a
// worker now has fewer slots the latest claim gives way. Who has given back all that it held on a
// worker holds 0 there. Without `share` nobody gives back: not all workers may be known yet. True:
// something changed.
bool AllocateSlots(const std::map<std::string, uint32_t>& live_workers,
                   std::vector<SlotClaim>* claims, bool share = true);

}  // namespace sluice
