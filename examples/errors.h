#pragma once

#include "sluice/sluice.h"

namespace examples {

// The lines that contain "error".
inline auto Errors(const sluice::DStream<std::string>& lines) {
  return lines.Filter(
      [](std::string_view line) { return line.find("error") != std::string_view::npos; });
}

}  // namespace examples
