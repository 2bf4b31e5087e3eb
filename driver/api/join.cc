#include "driver/api/join.h"

namespace sluice::internal {

void JoinSides::Gather(std::span<const Share> shares, ValueGroups::TakeKey take_key) {
  for (const uint32_t input : {0u, 1u}) {
    of_one_.clear();
    for (const Share& share : shares) {
      if (share.input == input) of_one_.push_back(share);
    }
    (input == 0 ? left_ : right_).Gather(of_one_, take_key);
  }
}

}  // namespace sluice::internal
