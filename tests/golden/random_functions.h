// What users' functions in random programs do; the engine and the model call the same ones.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/golden/model.h"

namespace sluice::golden {

using model::Pair;
using Pairs = model::Rows;

inline constexpr auto kSum = std::plus<>();
inline constexpr auto kDifference = std::minus<>();
inline constexpr auto kLast = [](int64_t, int64_t newer) { return newer; };
inline constexpr auto kFirstKeyAndSum = [](const Pair& a, const Pair& b) {
  return Pair{a.first, a.second + b.second};
};

inline constexpr auto kFirstKeyAndDifference = [](const Pair& a, const Pair& b) {
  return Pair{a.first, a.second - b.second};
};

inline Pair Tripled(const Pair& pair) { return {pair.first, pair.second * 3}; }
inline bool IsNoThird(const Pair& pair) { return pair.second % 3 != 0; }
inline Pairs SomeTimes(const Pair& pair) {
  return Pairs(static_cast<size_t>((pair.second % 3 + 3) % 3), pair);
}
inline int64_t OneMore(int64_t value) { return value + 1; }
inline Pairs Reversed(std::span<const Pair> records) { return {records.rbegin(), records.rend()}; }
// Where the order of a dataset's keys is not promised.
Pairs InOrder(std::span<const Pair> records);
// As many as are left of the value by three, each another.
std::vector<int64_t> Parts(int64_t value);
inline Pair UnderAll(const Pair& pair) { return {"all", pair.second}; }
inline bool IsKept(const std::string&, int64_t sum) { return sum % 4 != 0; }
inline int64_t RankOf(const Pair& pair) { return pair.second % 7; }
inline Pair WithCount(const Pair& record, int64_t count) {
  return {record.first, record.second * 10 + count};
}

// Depends on the order of the values.
int64_t Digest(std::span<const int64_t> values);
inline int64_t DigestOfSides(std::span<const int64_t> left, std::span<const int64_t> right) {
  return (Digest(left) * 31 + Digest(right)) % 1'000'003;
}

// A row of a join as one number.
int64_t Weighed(std::optional<int64_t> left, std::optional<int64_t> right);

// Differs from batch to batch.
inline int64_t ValueAt(int64_t batch_ms) { return batch_ms / 50 % 7; }
inline Pair Later(const Pair& pair, int64_t batch_ms) {
  return {pair.first, pair.second + ValueAt(batch_ms)};
}

// A table of which a batch sees one of three versions.
inline std::string TableVersion(int64_t batch_ms) { return std::to_string(batch_ms / 100 % 3); }
Pairs Table(const std::string& version);

// A user's partitioner.
uint64_t PlaceBySize(const std::string& key, uint32_t partitions);

// Depends on the order of the records.
template <class Records>
int64_t DigestOfRecords(const Records& records) {
  std::vector<int64_t> numbers;
  for (const auto& [key, value] : records) {
    numbers.push_back(static_cast<int64_t>(key.size()));
    numbers.push_back(value);
  }
  return Digest(numbers);
}

// Forgets a key that was idle for two batches, or whose digest is a multiple of five.
std::optional<int64_t> Remember(std::span<const int64_t> values, std::optional<int64_t> state);

// The same by another state for each key and batch.
std::optional<int64_t> RememberAt(int64_t batch_ms, const std::string& key,
                                  std::span<const int64_t> values, std::optional<int64_t> state);

// Of two entries of a key the later counts.
inline Pairs InitialStates() {
  return {{"a", 7}, {std::string(9, 'b'), 8}, {"c", 10}, {"a", 9}};
}

// What MapWithState does with a state at a value.
struct Tracking {
  enum { kLook, kUpdate, kRemove } what = kLook;
  int64_t state = 0;  // the new one
};
Tracking Track(int64_t value, std::optional<int64_t> state);

}  // namespace sluice::golden
