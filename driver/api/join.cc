#include "driver/api/join.h"

namespace sluice::internal {

void JoinSides::Gather(std::span<const Share> shares, ValueGroups::TakeKey take_key) {
  std::vector<Share> of_one;
  for (const uint32_t input : {0u, 1u}) {
    of_one.clear();
    for (const Share& share : shares) {
      if (share.input == input) of_one.push_back(share);
    }
    (input == 0 ? left_ : right_).Gather(of_one, take_key);
  }
}

}  // namespace sluice::internal
