// Values that are far from what their key has shown so far.
#pragma once

#include <utility>

#include "examples/number.h"
#include "sluice/sluice.h"

namespace examples {

using Reading = std::pair<std::string, double>;

// What a key has shown (Welford's method), and the outliers of the newest batch.
struct Running {
  int64_t count = 0;
  double mean = 0;
  double squares = 0;  // of the differences from the mean
  std::vector<double> outliers;
};
struct Limits {
  double deviations = 6;  // further from the mean than so many standard deviations is an outlier
  int64_t warm_up = 30;   // values before anything is judged
};

// "KEY VALUE"; nothing for other lines.
inline std::vector<Reading> ParseReading(std::string_view line) {
  const auto words = sluice::SplitWords(line);
  const std::optional<double> value = words.size() == 2 ? Number(words[1]) : std::nullopt;
  if (!value.has_value()) return {};
  return {{std::string(words[0]), *value}};
}

// An outlier is not learned from: it would hide the next one.
inline Running Judge(std::span<const double> values, Running seen, const Limits& limits) {
  seen.outliers.clear();
  for (const double value : values) {
    const double off = value - seen.mean;
    const double deviation = std::sqrt(seen.squares / static_cast<double>(seen.count + 1));
    if (seen.count >= limits.warm_up && std::abs(off) > limits.deviations * deviation) {
      seen.outliers.push_back(value);
      continue;
    }
    seen.mean += off / static_cast<double>(++seen.count);
    seen.squares += off * (value - seen.mean);
  }
  return seen;
}

// (key, outlier) for each batch.
inline auto Outliers(const sluice::DStream<std::string>& lines, Limits limits) {
  return lines.FlatMap(ParseReading)
      .UpdateStateByKey("seen",
                        [limits](std::span<const double> values, std::optional<Running> seen) {
                          return std::optional(Judge(values, seen.value_or(Running()), limits));
                        },
                        {.idle_keys = sluice::IdleKeys::kSkip})
      .FlatMapValues([](const Running& seen) { return seen.outliers; });
}

}  // namespace examples
