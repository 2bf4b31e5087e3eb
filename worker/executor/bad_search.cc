#include "worker/executor/bad_search.h"

#include <utility>

namespace sluice {
namespace {

// `items` fail. Whatever fails only in the company of others is not found.
void Halve(std::span<const uint64_t> items, BadItem failure, const Probe& probe,
           std::map<uint64_t, BadItem>& found) {
  if (items.size() == 1) {
    found.emplace(items.front(), std::move(failure));
    return;
  }
  const size_t half = items.size() / 2;
  for (const auto part : {items.first(half), items.subspan(half)}) {
    if (auto failed = probe(part)) Halve(part, *std::move(failed), probe, found);
  }
}

}  // namespace

std::map<uint64_t, BadItem> FailingAlone(std::span<const uint64_t> items, const Probe& probe) {
  std::map<uint64_t, BadItem> found;
  if (items.empty() || probe({}).has_value()) return found;
  if (auto failed = probe(items)) Halve(items, *std::move(failed), probe, found);
  return found;
}

std::optional<std::pair<uint64_t, BadItem>> LastOfShortestFailing(std::span<const uint64_t> items,
                                                                  const Probe& probe) {
  auto failed = probe(items);
  if (items.empty() || !failed.has_value() || probe({}).has_value()) return std::nullopt;
  size_t well = 0;               // so many go well
  size_t failing = items.size();  // and so many fail
  while (failing - well > 1) {
    const size_t middle = well + (failing - well) / 2;
    if (auto failure = probe(items.first(middle))) {
      failed = std::move(failure);
      failing = middle;
    } else {
      well = middle;
    }
  }
  return std::pair{items[failing - 1], *std::move(failed)};
}

}  // namespace sluice
