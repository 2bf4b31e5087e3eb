#include "common/fault_point.h"

#include <array>

namespace sluice {

std::string_view NameOf(FaultPoint point) {
  static constexpr std::array<std::string_view, static_cast<size_t>(FaultPoint::kCount)> kNames = {
      "tick later",         "decide later",   "grant unsent",    "form later",
      "generation unneeded", "checkpoint given up", "manifest later", "publish later",
      "roll early",         "release later",  "forget later",    "session again",
      "inventory asked",    "merge later",    "table whole",     "no peer",
      "append alone",       "tail checked",   "put confirmed"};
  return kNames[static_cast<size_t>(point)];
}

}  // namespace sluice
