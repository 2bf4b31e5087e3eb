#include "common/units.h"

#include <charconv>
#include <limits>
#include <span>

namespace sluice {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};
constexpr Unit kDurations[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
constexpr Unit kSizes[] = {{"", 1},
                           {"B", 1},
                           {"KiB", int64_t{1} << 10},
                           {"MiB", int64_t{1} << 20},
                           {"GiB", int64_t{1} << 30},
                           {"TiB", int64_t{1} << 40}};

std::optional<int64_t> ParseWithUnit(std::string_view text, std::span<const Unit> units) {
  const size_t digits = text.find_first_not_of("0123456789");
  const std::string_view name = digits == text.npos ? "" : text.substr(digits);
  const std::optional<int64_t> number = ParseWhole(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const Unit& unit : units) {
    if (unit.name != name) continue;
    if (*number > std::numeric_limits<int64_t>::max() / unit.factor) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> ParseWhole(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (text.front() == '-') return std::nullopt;
  return value;
}

std::optional<int64_t> ParseDurationMs(std::string_view text) {
  return ParseWithUnit(text, kDurations);
}

std::optional<int64_t> ParseBytes(std::string_view text) { return ParseWithUnit(text, kSizes); }

std::string FormatDurationMs(int64_t milliseconds) {
  std::string best = std::to_string(milliseconds) + "ms";
  for (const Unit& unit : kDurations) {
    if (milliseconds != 0 && milliseconds % unit.factor == 0) {
      best = std::to_string(milliseconds / unit.factor) + std::string(unit.name);
    }
  }
  return best;
}

}  // namespace sluice
