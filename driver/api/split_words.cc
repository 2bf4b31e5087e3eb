#include "driver/api/split_words.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice::internal {
namespace {

#if defined(__x86_64__)

__attribute__((target("avx512bw"))) uint64_t ScanAvx512(const char* text) {
  const __m512i bytes = _mm512_loadu_si512(text);
  return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(' ')) |
         _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\t'));
}

__attribute__((target("avx2"))) uint32_t ScanAvx2Half(const char* text) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text));
  const __m256i blank = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(' ')),
                                        _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\t')));
  return static_cast<uint32_t>(_mm256_movemask_epi8(blank));
}
__attribute__((target("avx2"))) uint64_t ScanAvx2(const char* text) {
  return ScanAvx2Half(text) | uint64_t{ScanAvx2Half(text + 32)} << 32;
}

uint64_t ScanSse2(const char* text) {
  uint64_t mask = 0;
  for (int i = 0; i < 4; ++i) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + 16 * i));
    const __m128i blank = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(' ')),
                                       _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t')));
    mask |= uint64_t{static_cast<uint32_t>(_mm_movemask_epi8(blank))} << (16 * i);
  }
  return mask;
}

BlankScanner ChooseScanner() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bw")) return ScanAvx512;
  if (__builtin_cpu_supports("avx2")) return ScanAvx2;
  return ScanSse2;
}

#else

uint64_t ScanScalar(const char* text) {
  uint64_t mask = 0;
  for (int i = 0; i < 64; ++i) mask |= uint64_t{text[i] == ' ' || text[i] == '\t'} << i;
  return mask;
}
BlankScanner ChooseScanner() { return ScanScalar; }

#endif

}  // namespace

const BlankScanner kScanBlanks = ChooseScanner();

uint64_t ScanBlanksCarefully(const char* text, size_t size) {
  char padded[64];
  std::memset(padded, ' ', sizeof(padded));
  std::memcpy(padded, text, size);
  return kScanBlanks(padded);
}

std::vector<std::string_view> WordSplitter::operator()(std::string_view line) const {
  std::vector<std::string_view> words;
  (*this)(line, [&](std::string_view word) { words.push_back(word); });
  return words;
}

}  // namespace sluice::internal
