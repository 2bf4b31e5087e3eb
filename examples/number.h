#pragma once

#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

namespace examples {

// The word as a finite number; nothing when it is none.
inline std::optional<double> Number(std::string_view word) {
  double number = 0;
  const auto parsed = std::from_chars(word.data(), word.data() + word.size(), number);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == word.data() + word.size();
  return whole && std::isfinite(number) ? std::optional(number) : std::nullopt;
}

}  // namespace examples
