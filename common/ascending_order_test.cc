#include "common/ascending_order.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace sluice {
namespace {

void ExpectAscending(const std::vector<std::string>& keys) {
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  std::vector<std::string> ordered;
  for (const uint32_t place : AscendingOrder(views)) ordered.push_back(keys[place]);
  std::vector<std::string> expected = keys;
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(ordered, expected);
}

TEST(AscendingOrderTest, NothingAndOne) {
  ExpectAscending({});
  ExpectAscending({"a"});
  ExpectAscending({""});
}

TEST(AscendingOrderTest, ShorterKeysAreFirstAlsoWhereTheRestIsZeroes) {
  using std::string_literals::operator""s;
  ExpectAscending({"ab\0\0"s, "ab"s, "ab\0"s, "a"s, ""s, "ab\0\0\0\0\0\0\0\0\0"s});
}

TEST(AscendingOrderTest, BytesCountWithoutSign) { ExpectAscending({"\xff", "\x7f", "\x80", "a"}); }

TEST(AscendingOrderTest, KeysThatBeginAlike) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    const std::string common(random() % 12, 'c');
    std::vector<std::string> keys;
    for (int i = 0; i < 50; ++i) {
      std::string key = common;
      for (uint32_t more = random() % 12; more > 0; --more) {
        key.push_back(static_cast<char>(random() % 3 * 127));
      }
      keys.push_back(key);
    }
    ExpectAscending(keys);
  }
}

}  // namespace
}  // namespace sluice
