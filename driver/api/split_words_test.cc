#include "driver/api/split_words.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace sluice {
namespace {

std::vector<std::string> Plainly(std::string_view line) {
  std::vector<std::string> words(1);
  for (const char c : line) {
    if (c != ' ' && c != '\t') words.back() += c;
    else if (!words.back().empty()) words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

// A copy with nothing behind it, so that AddressSanitizer sees a read beyond the end.
std::vector<std::string> Split(const std::string& line, size_t offset = 0) {
  const std::unique_ptr<char[]> exact(new char[line.size() + offset]);
  std::copy(line.begin(), line.end(), exact.get() + offset);
  const auto words = SplitWords(std::string_view(exact.get() + offset, line.size()));
  return {words.begin(), words.end()};
}

TEST(SplitWords, BlanksGiveNoEmptyWords) {
  EXPECT_EQ(Split(""), std::vector<std::string>{});
  EXPECT_EQ(Split(" \t "), std::vector<std::string>{});
  EXPECT_EQ(Split("one"), std::vector<std::string>{"one"});
  EXPECT_EQ(Split("  one\t\ttwo "), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(Split("a,b.c-d\ne"), std::vector<std::string>{"a,b.c-d\ne"});
}

TEST(SplitWords, EqualsAPlainLoopAtEveryLengthAndAlignment) {
  uint64_t random = 3;
  for (size_t size = 0; size < 300; ++size) {
    std::string line(size, 'x');
    for (char& c : line) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      const uint64_t draw = random >> 60;
      c = draw < 3 ? ' ' : draw == 3 ? '\t' : static_cast<char>(random >> 50);
    }
    EXPECT_EQ(Split(line, size % 67), Plainly(line)) << size;
  }
  EXPECT_EQ(Split(std::string(128, 'w')), std::vector<std::string>{std::string(128, 'w')});
  EXPECT_EQ(Split(std::string(64, 'a') + " " + std::string(63, 'b')).size(), 2u);
  EXPECT_EQ(Split(std::string(63, 'a') + " " + std::string(64, 'b')).size(), 2u);
}

}  // namespace
}  // namespace sluice
