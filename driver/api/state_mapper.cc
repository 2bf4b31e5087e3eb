#include "driver/api/state_mapper.h"

#include <stdexcept>

namespace sluice::internal {

void ThrowNoState() {
  throw std::out_of_range("State::Get: the key has no state; ask Exists first");
}

void ThrowStateUse(const char* what, bool timing_out) {
  throw std::invalid_argument(std::string("State::") + what +
                              (timing_out ? ": the state is timing out"
                                          : ": the state has been removed in this call"));
}

}  // namespace sluice::internal
