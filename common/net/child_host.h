// Where the processes that a daemon starts listen.
#pragma once

#include <string>

namespace sluice {

// The daemon's own host, unless that is a wildcard: a child gives its own address to others, and a
// wildcard is nobody's address.
inline std::string ChildHost(const std::string& listen, const std::string& advertise) {
  const bool wildcard = listen == "0.0.0.0" || listen == "::" || listen == "[::]";
  return wildcard && !advertise.empty() ? advertise : listen;
}

}  // namespace sluice
