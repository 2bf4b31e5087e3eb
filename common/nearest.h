// "Did you mean": the nearest of a list of names.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// The candidate with the least edit distance to `word`, the first of several; empty when none is
// near enough to be meant (a third of the word, at least two edits).
std::string NearestName(std::string_view word, const std::vector<std::string>& candidates);
// The same, of those that are at most so many edits away.
std::string NearestName(std::string_view word, const std::vector<std::string>& candidates,
                        size_t edits_max);

// "; did you mean X?", or nothing when no candidate is near.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates,
                       std::string_view prefix = "");

}  // namespace sluice
