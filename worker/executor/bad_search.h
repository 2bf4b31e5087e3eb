// Finds which of many items make a run fail, by running it on some of them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

namespace sluice {

// What an item did.
struct BadItem {
  std::string operator_name;
  std::string error;
};
// Runs the items, which are in rising order, and tells of the failure; nothing: it went well. What
// ran leaves nothing behind.
using Probe = std::function<std::optional<BadItem>(std::span<const uint64_t> items)>;

// The items that fail each by itself. Runs about log2(result) + 2 times as many items as there are.
// Empty also when a run of no item fails: then it is none of them.
std::map<uint64_t, BadItem> FailingAlone(std::span<const uint64_t> items, const Probe& probe);

// The last of the shortest failing beginning of the items, which fail together; about
// log2(items) runs. Nothing: they do not fail any more.
std::optional<std::pair<uint64_t, BadItem>> LastOfShortestFailing(std::span<const uint64_t> items,
                                                                  const Probe& probe);

}  // namespace sluice
