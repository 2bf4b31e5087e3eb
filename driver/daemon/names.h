// Names that clients choose and that become parts of paths.
#pragma once

#include <string_view>

namespace sluice::daemon {

// [A-Za-z0-9._-]{1,100}, not starting with a dot: no such name leaves the folder it is put in.
inline bool IsName(std::string_view name) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= 100 && name[0] != '.' &&
         name.find_first_not_of(kAllowed) == name.npos;
}

}  // namespace sluice::daemon
