// Hits and bytes per path, from the access logs of nginx.
#pragma once

#include <charconv>
#include <utility>

#include "sluice/sluice.h"

namespace examples {

struct Views {
  int64_t hits = 0;
  int64_t bytes = 0;
};
using PathViews = std::pair<std::string, Views>;

inline Views Add(const Views& a, const Views& b) { return {a.hits + b.hits, a.bytes + b.bytes}; }
inline Views Subtract(const Views& a, const Views& b) {
  return {a.hits - b.hits, a.bytes - b.bytes};
}

// ADDRESS - USER [TIME] "METHOD PATH?QUERY PROTOCOL" STATUS BYTES ...; nothing for other lines.
inline std::vector<PathViews> ParseAccess(std::string_view line) {
  const size_t open = line.find('"');
  const size_t close = open == line.npos ? line.npos : line.find('"', open + 1);
  if (close == line.npos) return {};
  const auto request = sluice::SplitWords(line.substr(open + 1, close - open - 1));
  const auto numbers = sluice::SplitWords(line.substr(close + 1));
  if (request.size() != 3 || numbers.size() < 2) return {};
  int64_t bytes = 0;
  std::from_chars(numbers[1].data(), numbers[1].data() + numbers[1].size(), bytes);
  const std::string_view path = request[1].substr(0, request[1].find('?'));
  return {{std::string(path), Views{1, bytes}}};
}

// (path, views) for the paths that the window has.
inline auto ViewsOfWindow(const sluice::DStream<PathViews>& views, sluice::WindowOptions window) {
  return views.ReduceByKeyAndWindow(Add, Subtract, window);
}

}  // namespace examples
