#include "tests/golden/random_functions.h"

#include <algorithm>

namespace sluice::golden {

Pairs InOrder(std::span<const Pair> records) {
  Pairs rows(records.begin(), records.end());
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<int64_t> Parts(int64_t value) {
  std::vector<int64_t> parts;
  for (int64_t i = 0; i < (value % 3 + 3) % 3; ++i) parts.push_back(value + i);
  return parts;
}

int64_t Digest(std::span<const int64_t> values) {
  uint64_t digest = 7;
  for (const int64_t value : values) digest = digest * 31 + static_cast<uint64_t>(value);
  return static_cast<int64_t>(digest % 1'000'003);
}

int64_t Weighed(std::optional<int64_t> left, std::optional<int64_t> right) {
  return (left.value_or(1'000) * 31 + right.value_or(1'000)) % 1'000'003;
}

std::optional<int64_t> Remember(std::span<const int64_t> values, std::optional<int64_t> state) {
  if (values.empty()) return *state % 2 == 0 ? std::nullopt : std::optional(*state / 2 * 2);
  const int64_t next = Digest(values) + state.value_or(0) % 1000;
  if (next % 5 == 0) return std::nullopt;
  return next;
}

std::optional<int64_t> RememberAt(int64_t batch_ms, const std::string& key,
                                  std::span<const int64_t> values, std::optional<int64_t> state) {
  const std::optional<int64_t> next = Remember(values, state);
  if (!next.has_value()) return next;
  return *next + static_cast<int64_t>(key.size()) + ValueAt(batch_ms);
}

Pairs Table(const std::string& version) {
  const int64_t number = version[0] - '0';
  Pairs entries = {{"a", number}, {std::string(9, 'b'), 2}, {"c", 4}, {std::string(17, 'd'), 5}};
  if (number > 0) entries.emplace_back("d", 6);
  if (number > 1) entries.emplace_back("a", 30);
  return entries;
}

uint64_t PlaceBySize(const std::string& key, uint32_t partitions) {
  return (key.size() / 8 + static_cast<unsigned char>(key[0])) % partitions;
}

Tracking Track(int64_t value, std::optional<int64_t> state) {
  if (value % 4 == 0) return {Tracking::kRemove};
  if (value % 4 == 1) return {Tracking::kLook};
  return {Tracking::kUpdate, state.value_or(3) * 3 % 1000 + value};
}

}  // namespace sluice::golden
