#include "driver/api/user_state.h"

namespace sluice::internal {

bool UserState::Begin() {
  static constexpr std::string_view kMark = "\xff" "begun";
  if (state_.Get(kMark).has_value()) return false;
  state_.Put(kMark, "");
  return true;
}

}  // namespace sluice::internal
