// Who owns which partitions under a grant: the same for all who read it.
#pragma once

#include <cstdint>

#include "common/plan/stages.h"
#include "proto/cluster.pb.h"

namespace sluice {

// The executor's place among the grant's members; their number when it is none of them.
inline uint32_t PlaceUnder(const proto::Grant& grant, uint32_t executor) {
  uint32_t place = 0;
  while (place < static_cast<uint32_t>(grant.members_size()) &&
         grant.members(place).executor() != executor) {
    ++place;
  }
  return place;
}

inline Ownership OwnersUnder(const proto::Grant& grant) {
  std::vector<uint32_t> slots;
  for (const auto& member : grant.members()) slots.push_back(member.slots());
  Ownership owners(std::move(slots));
  for (const auto& apart : grant.apart()) {
    const bool of_batch = apart.batch_ms() != 0;  // the job driver hands out map tasks by itself
    if (of_batch || apart.member() >= static_cast<uint32_t>(grant.members_size())) continue;
    owners.SetApart(apart.stage(), apart.partition(), apart.member());
  }
  return owners;
}

}  // namespace sluice
