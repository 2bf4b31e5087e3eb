#include "bench/floors.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_map>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "common/key_hash.h"

// SLUICE_FLOORS: the namespace of these flags (bench/BUILD.bazel).
namespace sluice::bench::SLUICE_FLOORS {
namespace {

using internal::HashShortKey;
using internal::LoadShortKey;
using internal::ShortKey;

// A flat table of short words: key and count in one slot. Grows by doubling.
class FlatTable {
 public:
  FlatTable() : slots_(1 << 12) {}

  void Prefetch(uint64_t hash) const { __builtin_prefetch(&slots_[hash & mask()]); }

  void Add(ShortKey key, uint64_t hash) {
    for (uint64_t at = hash & mask();; at = (at + 1) & mask()) {
      Slot& slot = slots_[at];
      if (slot.key == key) {
        ++slot.count;
        return;
      }
      if (slot.count == 0) {
        slot = {key, 1};
        if (++used_ * 2 > slots_.size()) Grow();
        return;
      }
    }
  }

  WordSums Sums() const {
    WordSums sums;
    for (const Slot& slot : slots_) {
      if (slot.count == 0) continue;
      ++sums.distinct;
      sums.total += slot.count;
      sums.checksum += HashShortKey(slot.key) * slot.count;
    }
    return sums;
  }

 private:
  struct Slot {
    ShortKey key{0, 0};
    uint64_t count = 0;
  };

  uint64_t mask() const { return slots_.size() - 1; }
  void Grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.count == 0) continue;
      uint64_t at = HashShortKey(slot.key) & mask();
      while (slots_[at].count != 0) at = (at + 1) & mask();
      slots_[at] = slot;
    }
  }

  std::vector<Slot> slots_;
  uint64_t used_ = 0;
};

uint64_t Spaces(const char* text) {
#if defined(__AVX2__)
  const __m256i space = _mm256_set1_epi8(' ');
  const auto half = [&](const char* at) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, space)));
  };
  return half(text) | uint64_t{half(text + 32)} << 32;
#elif defined(__x86_64__)
  const __m128i space = _mm_set1_epi8(' ');
  uint64_t mask = 0;
  for (int i = 0; i < 4; ++i) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + 16 * i));
    mask |= uint64_t{static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, space)))}
            << (16 * i);
  }
  return mask;
#else
  uint64_t mask = 0;
  for (int i = 0; i < 64; ++i) mask |= uint64_t{text[i] == ' '} << i;
  return mask;
#endif
}

// add(word, size) for every word of every line.
template <class Add>
void ForEachWord(const Lines& lines, const Add& add) {
  const char* line = lines.bytes.data();
  for (const uint32_t end : lines.ends) {
    const char* line_end = lines.bytes.data() + end;
    const char* word = nullptr;
    for (const char* text = line; text < line_end; text += 64) {
      uint64_t blanks = Spaces(text);
      if (line_end - text < 64) blanks |= ~uint64_t{0} << (line_end - text);
      uint64_t edges = blanks ^ (blanks << 1 | (word == nullptr ? 1 : 0));
      for (; edges != 0; edges &= edges - 1) {
        const char* edge = text + __builtin_ctzll(edges);
        if (word != nullptr) add(word, static_cast<size_t>(edge - word));
        word = word == nullptr ? edge : nullptr;
      }
    }
    if (word != nullptr) add(word, static_cast<size_t>(line_end - word));
    line = line_end;
  }
}

}  // namespace

uint64_t GrepByLine(const Lines& lines) {
  uint64_t found = 0;
  const char* line = lines.bytes.data();
  for (const uint32_t end : lines.ends) {
    const char* line_end = lines.bytes.data() + end;
    found += memmem(line, static_cast<size_t>(line_end - line), "zqxj", 4) != nullptr;
    line = line_end;
  }
  return found;
}

uint64_t GrepWholeBuffer(const Lines& lines) {
  uint64_t found = 0;
  const char* begin = lines.bytes.data();
  const char* end = begin + lines.ends.size() * kLineSize;
  const char* at = begin;
  while ((at = static_cast<const char*>(memmem(at, static_cast<size_t>(end - at), "zqxj", 4)))) {
    if (static_cast<size_t>(at - begin) % kLineSize > kLineSize - 4) {  // of two lines
      ++at;
      continue;
    }
    ++found;
    at = begin + (static_cast<size_t>(at - begin) / kLineSize + 1) * kLineSize;
  }
  return found;
}

WordSums CountWordsDirect(const Lines& lines) {
  FlatTable table;
  ForEachWord(lines, [&](const char* word, size_t size) {
    const ShortKey key = LoadShortKey(word, size);
    table.Add(key, HashShortKey(key));
  });
  return table.Sums();
}

WordSums CountWordsRing(const Lines& lines) {
  struct Waiting {
    ShortKey key;
    uint64_t hash;
  };
  FlatTable table;
  Waiting ring[32];
  uint64_t seen = 0;
  ForEachWord(lines, [&](const char* word, size_t size) {
    Waiting& place = ring[seen % 32];
    if (seen++ >= 32) table.Add(place.key, place.hash);
    place.key = LoadShortKey(word, size);
    place.hash = HashShortKey(place.key);
    table.Prefetch(place.hash);
  });
  for (uint64_t i = 0; i < std::min<uint64_t>(seen, 32); ++i) table.Add(ring[i].key, ring[i].hash);
  return table.Sums();
}

WordSums CountWordsPlainly(const Lines& lines) {
  std::unordered_map<std::string, uint64_t> counts;
  uint32_t begin = 0;
  for (const uint32_t end : lines.ends) {
    std::string_view line(lines.bytes.data() + begin, end - begin);
    begin = end;
    for (size_t word; (word = line.find_first_not_of(' ')) != std::string_view::npos;) {
      line.remove_prefix(word);
      const size_t size = std::min(line.find(' '), line.size());
      ++counts[std::string(line.substr(0, size))];
      line.remove_prefix(size);
    }
  }
  WordSums sums;
  for (const auto& [word, count] : counts) {
    ++sums.distinct;
    sums.total += count;
    sums.checksum += KeyHash(word) * count;
  }
  return sums;
}

int64_t CountFourSteps(const int64_t* numbers, uint64_t count) {
  int64_t left = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const int64_t scaled = numbers[i] * 3 + 1;
    if ((scaled & 7) == 0) continue;
    const int64_t mixed = scaled ^ (scaled >> 7);
    if ((mixed & 15) == 3) continue;
    ++left;
  }
  return left;
}

int64_t SumFourSteps(const int64_t* numbers, uint64_t count) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const int64_t scaled = numbers[i] * 3 + 1;
    if ((scaled & 7) == 0) continue;
    const int64_t mixed = scaled ^ (scaled >> 7);
    if ((mixed & 15) == 3) continue;
    sum += mixed;
  }
  return sum;
}

}  // namespace sluice::bench::SLUICE_FLOORS
