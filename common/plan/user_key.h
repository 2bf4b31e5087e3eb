// How a state that has an entry for each of the user's keys names its entries: by the canonical
// bytes of the key. A key that begins with the byte 0xff has another 0xff in front; 0xff and
// anything else is a mark of the operator's own, and no key.
#pragma once

#include <string_view>

namespace sluice {

inline constexpr char kEntryEscape = '\xff';

inline bool IsEscapedEntry(std::string_view entry_key) {
  return !entry_key.empty() && entry_key[0] == kEntryEscape;
}
inline bool IsEntryMark(std::string_view entry_key) {
  return IsEscapedEntry(entry_key) && (entry_key.size() == 1 || entry_key[1] != kEntryEscape);
}
// Of an entry that is no mark.
inline std::string_view UserKeyOf(std::string_view entry_key) {
  return IsEscapedEntry(entry_key) ? entry_key.substr(1) : entry_key;
}

}  // namespace sluice
