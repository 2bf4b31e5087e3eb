#include "driver/api/fixed_groups.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace sluice::internal {
namespace {

// Random records of some shares, and the groups that a naive fold makes of them.
struct Case {
  Case(uint32_t seed, uint32_t key_size, uint32_t value_size, int keys) {
    std::mt19937 random(seed);
    std::map<std::string, size_t> places;
    for (int share = 0; share < 3; ++share) {
      records.emplace_back(key_size + value_size);
      for (uint32_t i = random() % 2000; i > 0; --i) {
        std::string key = std::to_string(random() % keys) + std::string(16, 'k');
        key.resize(key_size);
        std::string value = std::to_string(random()) + std::string(16, 'v');
        value.resize(value_size);
        records.back().Append(key + value);
        const auto [place, added] = places.try_emplace(key, groups.size());
        if (added) groups.emplace_back(key, "");
        groups[place->second].second += value;
      }
    }
    for (const RecordBatch& batch : records) shares.push_back({0, batch.view()});
  }
  std::vector<RecordBatch> records;
  std::vector<Share> shares;
  std::vector<std::pair<std::string, std::string>> groups;
};

void ExpectGroups(const Case& input, uint32_t value_size, const RecordBatch& out, uint32_t from) {
  ASSERT_EQ(out.count(), from + input.groups.size());
  const BatchView view = out.view();
  for (size_t i = 0; i < input.groups.size(); ++i) {
    const auto& [key, values] = input.groups[i];
    std::string expected = key;
    PutVarint(values.size() / value_size, expected);
    ASSERT_EQ(view.record(from + static_cast<uint32_t>(i)), expected + values) << i;
  }
}

TEST(FixedGroups, AreThoseOfANaiveFold) {
  for (const uint32_t key_size : {4u, 8u, 16u}) {
    for (const uint32_t value_size : {4u, 8u, 12u, 16u}) {
      FixedGroups groups(key_size, value_size);  // used again and again
      for (const int keys : {1, 40, 100'000, 7}) {
        const Case input(key_size + value_size + keys, key_size, value_size, keys);
        RecordBatch out;
        ASSERT_TRUE(groups.Gather(input.shares, out));
        ExpectGroups(input, value_size, out, 0);
        ASSERT_TRUE(groups.Gather(input.shares, out));  // behind what is there
        ExpectGroups(input, value_size, out, static_cast<uint32_t>(input.groups.size()));
      }
    }
  }
}

TEST(FixedGroups, LeavesSharesOfAnotherSizeAlone) {
  FixedGroups groups(8, 8);
  RecordBatch longer(17), out;
  longer.Append("12345678 12345678");
  const Share share{0, longer.view()};
  EXPECT_FALSE(groups.Gather({&share, 1}, out));
  EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace sluice::internal
