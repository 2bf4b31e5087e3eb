#include "common/nearest.h"

#include <algorithm>
#include <numeric>

namespace sluice {
namespace {

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string NearestName(std::string_view word, const std::vector<std::string>& candidates) {
  return NearestName(word, candidates, std::max<size_t>(2, word.size() / 3));
}

std::string NearestName(std::string_view word, const std::vector<std::string>& candidates,
                        size_t edits_max) {
  std::string best;
  size_t best_distance = edits_max + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance) best = candidate, best_distance = distance;
  }
  return best;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates,
                       std::string_view prefix) {
  const std::string nearest = NearestName(word, candidates);
  if (nearest.empty()) return "";
  return "; did you mean " + std::string(prefix) + nearest + "?";
}

}  // namespace sluice
