#include "bench/lines.h"

#include <algorithm>
#include <cstring>

#include "bench/random.h"

namespace sluice::bench {
namespace {

std::vector<std::string> MakeVocabulary(uint32_t size) {
  SplitMix64 random(42);
  std::vector<std::string> words(size);
  for (std::string& word : words) {
    word.resize(3 + random.Next() % 7);
    for (char& c : word) c = static_cast<char>('a' + random.Next() % 26);
  }
  return words;
}

// Draws 0 .. size - 1 under a Zipf law with exponent 1.
class Zipf {
 public:
  explicit Zipf(uint32_t size) : sums_(size), first_(kGuides + 1) {
    double sum = 0;
    for (uint32_t i = 0; i < size; ++i) sums_[i] = sum += 1.0 / (i + 1);
    for (double& s : sums_) s /= sum;
    for (uint32_t guide = 0; guide <= kGuides; ++guide) {
      first_[guide] = LowerBound(0, size, static_cast<double>(guide) / kGuides);
    }
  }
  uint32_t Draw(double unit) const {
    const auto guide = static_cast<uint32_t>(unit * kGuides);
    const uint32_t last = std::min<uint32_t>(first_[guide + 1] + 1, sums_.size());
    return std::min<uint32_t>(LowerBound(first_[guide], last, unit), sums_.size() - 1);
  }

 private:
  static constexpr uint32_t kGuides = 1 << 16;  // where to look for a number, to its first digits
  uint32_t LowerBound(uint32_t from, uint32_t to, double unit) const {
    const auto found = std::lower_bound(sums_.begin() + from, sums_.begin() + to, unit);
    return static_cast<uint32_t>(found - sums_.begin());
  }

  std::vector<double> sums_;
  std::vector<uint32_t> first_;
};

}  // namespace

Lines MakeLines(uint64_t count, uint32_t vocabulary, uint64_t partition, bool marked) {
  const std::vector<std::string> words = MakeVocabulary(vocabulary);
  const Zipf zipf(vocabulary);
  SplitMix64 random(42 + partition);
  Lines lines;
  lines.bytes.assign(count * kLineSize + 64, ' ');
  for (uint64_t i = 0; i < count; ++i) {
    char* line = lines.bytes.data() + i * kLineSize;
    for (size_t at = 0;;) {
      const std::string& word = words[zipf.Draw(random.NextUnit())];
      if (at + word.size() > kLineSize) break;
      std::memcpy(line + at, word.data(), word.size());
      at += word.size() + 1;
    }
    if (marked && i % 1000 == 7) std::memcpy(line + 40, "zqxj", 4);
    lines.ends.push_back(static_cast<uint32_t>((i + 1) * kLineSize));
  }
  std::memset(lines.bytes.data() + count * kLineSize, 0, 64);
  return lines;
}

std::vector<std::string_view> Views(const Lines& lines) {
  std::vector<std::string_view> views;
  views.reserve(lines.ends.size());
  uint32_t begin = 0;
  for (const uint32_t end : lines.ends) {
    views.emplace_back(lines.bytes.data() + begin, end - begin);
    begin = end;
  }
  return views;
}

}  // namespace sluice::bench
