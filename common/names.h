// What others choose and becomes part of a path: names and digests.
#pragma once

#include <string_view>

namespace sluice {

// [A-Za-z0-9._-]{1,100}, not starting with a dot: no such name leaves the folder it is put in.
inline bool IsName(std::string_view name) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= 100 && name[0] != '.' &&
         name.find_first_not_of(kAllowed) == name.npos;
}

// 64 lower-case hex digits: a SHA-256.
inline bool IsDigest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

}  // namespace sluice
