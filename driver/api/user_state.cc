#include "driver/api/user_state.h"

namespace sluice::internal {

bool UserState::Begin() {
  static constexpr std::string_view kMark = "\xff" "begun";
  if (state_.Get(kMark).has_value()) return false;
  state_.Put(kMark, "");
  return true;
}

void StateFetch::Fetch(KeyedState& state) {
  keys_.clear();
  size_t begin = 0;
  for (const size_t end : ends_) {
    keys_.push_back(std::string_view(bytes_).substr(begin, end - begin));
    begin = end;
  }
  state.Fetch(keys_);
}

void TakeOverUserState(const Spreading& spreading, KeyedState& former, KeyedState& to) {
  former.ForEach([&](std::string_view entry_key, std::string_view value) {
    if (IsEntryMark(entry_key) || spreading.Takes(UserKeyOf(entry_key))) {
      to.PutTimed(entry_key, value, former.DueOf(entry_key));
    }
  });
}

}  // namespace sluice::internal
