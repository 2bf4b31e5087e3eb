// Durations and sizes as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

// "200ms", "1s", "5m", "2h", whole numbers with a unit, in milliseconds. Nothing for anything else
// and for what does not fit.
std::optional<int64_t> ParseDurationMs(std::string_view text);

// "100", "100B", "64KiB", "64MiB", "2GiB", "1TiB", in bytes.
std::optional<int64_t> ParseBytes(std::string_view text);

// A whole decimal number, not negative.
std::optional<int64_t> ParseWhole(std::string_view text);

// The shortest form that reads back: 90000 is "90s", 60000 is "1m".
std::string FormatDurationMs(int64_t milliseconds);

}  // namespace sluice
