// Which job may use which slots. A slot belongs to one job at a time: a job takes every free slot
// (or as many as its `max_slots` allows) and keeps them until it ends; who comes later waits.
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
};

// Adjusts `held` of the claims, which stand in order of submission, to the workers (id to slots)
// that are alive. What is held on a worker stays held, also while that worker is away; where a
// worker now has fewer slots the latest claim gives way. True: something changed.
bool AllocateSlots(const std::map<std::string, uint32_t>& live_workers,
                   std::vector<SlotClaim>* claims);

}  // namespace sluice
