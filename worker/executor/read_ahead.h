// Reads that are begun before their result is needed.
#pragma once

#include <future>
#include <system_error>
#include <utility>

namespace sluice {

// Runs `read` on a thread of its own; where none can be made, as with a bound of the machine, on
// the one that asks for the result, when it does.
template <typename Read>
auto ReadAhead(Read read) {
  try {
    return std::async(std::launch::async, read);
  } catch (const std::system_error&) {
    return std::async(std::launch::deferred, std::move(read));
  }
}

}  // namespace sluice
